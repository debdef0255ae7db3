// Depthwise convolution against the plain loops.
#include "tenon/backend/cpu/conv_depthwise.hpp"

#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "tenon/autograd/conv.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ConvOperands;
using testing::ConvResults;

namespace {

// Every form that has loops of its own, and any other.
Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    Conv2dGeometry g{.n = 1 + rng.below(3), .h = 1 + rng.below(20), .w = 1 + rng.below(26)};
    g.c = g.o = g.groups = 4 + rng.below(rng.below(2) ? 12 : 70);
    const bool plain = rng.below(2) == 0;
    g.kh = plain ? 3 + 2 * rng.below(3) : 1 + rng.below(8);
    g.kw = plain ? g.kh : 1 + rng.below(8);
    g.stride_h = 1 + rng.below(plain ? 2 : 4);
    g.stride_w = 1 + rng.below(plain ? 2 : 4);
    g.dilation_h = plain ? 1 : 1 + rng.below(3);
    g.dilation_w = plain ? 1 : 1 + rng.below(3);
    g.pad_h = rng.below(g.kh + 2);
    g.pad_w = rng.below(g.kw + 2);
    if (testing::set_output_size(g)) return g;
  }
}

template <class T, class Isa>
ConvResults<T> depthwise(const Conv2dGeometry& g, const ConvOperands<T>& in, const cpu::Epilogue<T>& finish) {
  auto out = testing::poisoned_results(in);
  cpu::conv2d_forward_depthwise<T, Isa>(g, in.x.data(), in.w.data(), finish, out.y.data());
  cpu::conv2d_backward_data_depthwise<T, Isa>(g, in.dy.data(), in.w.data(), out.dx.data());
  cpu::conv2d_backward_weights_depthwise<T, Isa>(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

template <class T>
void compare(const Conv2dGeometry& g, Rng& rng, double tolerance) {
  const auto in = testing::random_operands<T>(g, rng);
  cpu::Epilogue<T> finish{.relu = rng.below(2) == 0};
  if (rng.below(3)) finish.bias = in.bias.data();
  if (rng.below(2)) finish.residual = in.dy.data();
  const auto expected = testing::plain_loops(g, in, finish);
  testing::each_isa([&](auto isa, const char* name) {
    testing::check_close(depthwise<T, decltype(isa)>(g, in, finish), expected, tolerance, name, g);
  });
}

}  // namespace

TEST_CASE("depthwise convolution: 150 random geometries on every instruction set") {
  Rng rng(1);
  for (int i = 0; i < testing::rounds(150); ++i) {
    const auto g = random_geometry(rng);
    compare<float>(g, rng, 1e-5);
    compare<double>(g, rng, 1e-13);
  }
}

TEST_CASE("depthwise convolution: the same bits with 1, 2 and 3 threads") {
  Rng rng(2);
  for (const Index stride : {1, 2}) {
    Conv2dGeometry g{.n = 3, .h = 37, .w = 41, .c = 200, .o = 200, .kh = 3, .kw = 3};
    g.groups = g.c;
    g.stride_h = g.stride_w = stride;
    g.pad_h = g.pad_w = 1;
    testing::set_output_size(g);
    const auto in = testing::random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      const auto run = [&](int threads) {
        const testing::ThreadScope scope(threads);
        return depthwise<float, decltype(isa)>(g, in, {.bias = in.bias.data(), .relu = true});
      };
      const auto one = run(1);
      for (const int threads : {2, 3}) {
        testing::check_same_bits(one, run(threads), text(name, ", ", threads, " threads"));
      }
    });
  }
}

TEST_CASE("depthwise convolution: a NaN reaches the windows that see it, padding adds nothing to infinity") {
  Rng rng(3);
  Conv2dGeometry g{.n = 1, .h = 9, .w = 9, .c = 20, .o = 20, .kh = 3, .kw = 3};
  g.groups = g.c;
  g.pad_h = g.pad_w = 1;
  testing::set_output_size(g);
  auto in = testing::random_operands<float>(g, rng);
  in.x.at({0, 4, 4, 17}) = std::numeric_limits<float>::quiet_NaN();
  in.w.at({2, 0, 0, 0}) = std::numeric_limits<float>::infinity();
  testing::each_isa([&](auto isa, const char* name) {
    const auto y = depthwise<float, decltype(isa)>(g, in, {.bias = in.bias.data(), .relu = true}).y;
    Index found = 0;
    for (Index i = 0; i < y.numel(); ++i) found += std::isnan(y.data()[i]);
    CHECK_MESSAGE(found == 9, name);
    CHECK_MESSAGE(std::isfinite(y.at({0, 0, 5, 2})), name);
  });
}
