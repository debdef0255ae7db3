// Batch normalisation: training forward, evaluation and gradient.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

constexpr double eps = 1e-5;

template <class T>
void check_batch_norm(Index rows, Index c, double centre, double spread) {
  const Index n = rows * c;
  const BatchNormGeometry plain{.rows = rows, .c = c};
  const auto name = [&](const char* op) {
    return text("batch_norm ", op, " (", rows, ",", c, ") around ", centre);
  };
  const auto x = numbers(n, 51, centre - spread, centre + spread);
  const auto gamma = numbers(c, 52, 0.5, 1.5), beta = numbers(c, 53), dy = numbers(n, 54);
  // A value far from 0 has few digits left after the mean is taken off.
  const double slack = 2 + std::abs(centre) / spread;
  parity::compare<T>(
      {.name = name("forward_train"), .inputs = {x, gamma, beta}, .outputs = {n, c, c, c}, .slack = slack},
      [&](auto d, const auto& in, const auto& out) {
        Backend<decltype(d)>::batch_norm_forward_train(plain, eps, in[0], in[1], in[2], in[0], out[0], out[1],
                                                       out[2], out[3]);
      });
  parity::compare<T>({.name = name("statistics"), .inputs = {x}, .outputs = {c, c}, .slack = slack},
                     [&](auto d, const auto& in, const auto& out) {
                       Backend<decltype(d)>::batch_norm_statistics(rows, c, in[0], out[0], out[1]);
                     });
  const auto mean = numbers(c, 55, centre - 0.1, centre + 0.1), inv_std = numbers(c, 56, 0.5, 2);
  parity::compare<T>(
      {.name = name("apply"), .inputs = {x, mean, inv_std, gamma, beta}, .outputs = {n}, .slack = slack},
      [&](auto d, const auto& in, const auto& out) {
        Backend<decltype(d)>::batch_norm_apply(plain, in[0], in[1], in[2], in[3], in[4], in[0], out[0]);
      });
  // The gradient at the batch's own statistics, which each side computes first.
  parity::compare<T>({.name = name("backward"),
                      .inputs = {x, gamma, beta, dy},
                      .outputs = {n, c, c, n, c, c, c},
                      .slack = 2 * slack},
                     [&](auto d, const auto& in, const auto& out) {
                       using B = Backend<decltype(d)>;
                       B::batch_norm_forward_train(plain, eps, in[0], in[1], in[2], in[0], out[3], out[4],
                                                   out[5], out[6]);
                       decltype(out[0] + 0) none = nullptr;
                       B::batch_norm_backward(plain, in[0], in[3], in[0], out[4], out[5], in[1], in[2],
                                              out[0], none, out[1], out[2]);
                     });
  // With a rectifier, and a residual before it; the gradient arrives in the array that takes dx or dresidual.
  // Of many values one would be so near 0 that rounding decides whether its gradient passes.
  if (n > 10000) return;
  for (const bool residual : {false, true}) {
    const BatchNormGeometry g{.rows = rows, .c = c, .residual = residual, .relu = true};
    parity::compare<T>(
        {.name = name(residual ? "add, relu" : "relu"),
         .inputs = {x, gamma, beta, numbers(n, 57)},
         .outputs = {n, n, c, c, c, c, c},
         .states = {dy},
         .slack = 2 * slack},
        [&](auto d, const auto& in, const auto& out) {
          using B = Backend<decltype(d)>;
          B::batch_norm_forward_train(g, eps, in[0], in[1], in[2], in[3], out[0], out[2], out[3], out[4]);
          B::batch_norm_backward(g, in[0], out[7], out[0], out[2], out[3], in[1], in[2],
                                 residual ? out[1] : out[7], residual ? out[7] : nullptr, out[5], out[6]);
          if (!residual) B::fill(out[1], n, {});
        });
  }
}

template <class T>
void check_all() {
  for (const auto& [rows, c] : std::vector<std::pair<Index, Index>>{
           {2, 1}, {7, 3}, {128, 10}, {6 * 9 * 9, 6}, {4 * 32 * 32, 3}, {1001, 64}, {20000, 16}, {33, 200}}) {
    check_batch_norm<T>(rows, c, 0, 1);
  }
  check_batch_norm<T>(5000, 7, 10, 0.5);
}

}  // namespace

TEST_CASE("batch_norm") {
  if (!parity::device("batch_norm")) return;
  check_all<float>();
  check_all<double>();
}
