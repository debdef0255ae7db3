// Matrix products: transposes, batches, repeated operands, accumulation, and operands that start anywhere.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

template <class T>
void check_gemm(GemmGeometry g) {
  g.stride_c = g.m * g.n;
  const Index a = g.stride_a ? g.batch * g.stride_a : g.m * g.k,
              b = g.stride_b ? g.batch * g.stride_b : g.k * g.n;
  const auto name = text("gemm ", g.m, "x", g.n, "x", g.k, " batch ", g.batch, g.transpose_a ? " At" : "",
                         g.transpose_b ? " Bt" : "", " beta ", g.beta);
  const auto call = [&](auto d, const auto& in, const auto& out) {
    Backend<decltype(d)>::gemm(g, in[0], in[1], out[0]);
  };
  const std::vector<parity::Numbers> inputs{numbers(a, 31), numbers(b, 32)};
  if (g.beta == 0)
    parity::compare<T>({.name = name, .inputs = inputs, .outputs = {g.batch * g.m * g.n}}, call);
  else
    parity::compare<T>({.name = name, .inputs = inputs, .states = {numbers(g.batch * g.m * g.n, 33)}}, call);
}

template <class T>
void check_all() {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      check_gemm<T>({.m = 5, .n = 3, .k = 7, .transpose_a = ta, .transpose_b = tb});
      check_gemm<T>(
          {.m = 65, .n = 129, .k = 33, .transpose_a = ta, .transpose_b = tb, .alpha = 0.5, .beta = 2});
      check_gemm<T>({.m = 128, .n = 120, .k = 400, .transpose_a = ta, .transpose_b = tb});
    }
  }
  check_gemm<T>({.m = 1, .n = 1, .k = 1});
  check_gemm<T>({.m = 1, .n = 10, .k = 84, .transpose_b = true});
  check_gemm<T>({.m = 9, .n = 11, .k = 13, .batch = 4, .stride_a = 9 * 13, .stride_b = 13 * 11});
  check_gemm<T>(
      {.m = 9, .n = 11, .k = 13, .transpose_b = true, .batch = 3, .stride_a = 0, .stride_b = 13 * 11});
  check_gemm<T>({.m = 4, .n = 6, .k = 0, .beta = 0.5});
}

}  // namespace

TEST_CASE("gemm") {
  if (!parity::device("gemm")) return;
  check_all<float>();
  check_all<double>();
  check_all<half>();
  check_all<bfloat16>();
}

TEST_CASE("gemm of views that are not aligned") {
  if (!parity::device("gemm of views that are not aligned")) return;
  Rng rng(4);
  const auto a = Tensor<float, Cpu>::uniform({34 * 15}, rng),
             b = Tensor<float, Cpu>::uniform({15 * 17 + 1}, rng);
  for (const Index skip : {0, 1, 2, 3}) {
    const auto product = [&](const auto& x, const auto& y) {
      return matmul(x.rows(skip, skip + 33 * 15).reshape({33, 15}), y.rows(1, 15 * 17 + 1).reshape({15, 17}));
    };
    const auto expected = product(a, b).template cast<double>().to_vector();
    const auto actual = product(a.to<Cuda>(), b.to<Cuda>()).template cast<double>().to_vector();
    CHECK(!!(parity::relative_error(actual, expected) <= 2e-5));
  }
}
