// Convolution as matrix multiplication against its plain loops.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "tenon/autograd/conv.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ConvOperands;
using testing::ConvResults;
using testing::error_of;
using testing::error_text;

namespace {

// A random geometry whose kernel fits.
Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    Conv2dGeometry g;
    const Index form = rng.below(4);  // plain, grouped, depthwise, pointwise
    g.groups = form == 1 ? 1 + rng.below(3) : form == 2 ? 1 + rng.below(9) : 1;
    g.c = g.groups * (form == 2 ? 1 : 1 + rng.below(20));
    g.o = g.groups * (1 + rng.below(form == 2 ? 3 : 35));
    g.n = 1 + rng.below(3);
    g.h = 1 + rng.below(14);
    g.w = 1 + rng.below(14);
    g.kh = form == 3 ? 1 : 1 + rng.below(5);
    g.kw = form == 3 ? 1 : 1 + rng.below(5);
    g.stride_h = 1 + rng.below(3);
    g.stride_w = 1 + rng.below(3);
    g.pad_h = rng.below(4);
    g.pad_w = rng.below(4);
    g.dilation_h = 1 + rng.below(3);
    g.dilation_w = 1 + rng.below(3);
    if (testing::set_output_size(g)) return g;
  }
}

template <class T>
ConvResults<T> convolve(const Conv2dGeometry& g, const ConvOperands<T>& in, const cpu::Epilogue<T>& finish) {
  auto out = testing::poisoned_results(in);
  cpu::conv2d_forward(g, in.x.data(), in.w.data(), finish, out.y.data());
  cpu::conv2d_backward_data<T>(g, in.dy.data(), in.w.data(), false, out.dx.data());
  cpu::conv2d_backward_weights(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

template <class T>
void compare(const Conv2dGeometry& g, Rng& rng, double tolerance) {
  const auto in = testing::random_operands<T>(g, rng);
  const cpu::Epilogue<T> biased{.bias = in.bias.data()}, plain;
  testing::check_close(convolve(g, in, biased), testing::plain_loops(g, in, biased), tolerance, "conv2d", g);
  auto y = testing::poisoned<T>(in.dy.shape());
  cpu::conv2d_forward(g, in.x.data(), in.w.data(), plain, y.data());
  CHECK_MESSAGE(error_of(y, testing::plain_forward(g, in, plain)) <= tolerance, "no bias, ",
                testing::describe(g));
}

}  // namespace

TEST_CASE("conv2d: 150 random geometries in double") {
  Rng rng(1);
  for (int i = 0; i < testing::rounds(150); ++i) compare<double>(random_geometry(rng), rng, 1e-13);
}

TEST_CASE("conv2d: 150 random geometries in float") {
  Rng rng(2);
  for (int i = 0; i < testing::rounds(150); ++i) compare<float>(random_geometry(rng), rng, 2e-5);
}

TEST_CASE("conv2d: products with patches, on every instruction set") {
  Rng rng(5);
  const auto check = [&](Conv2dGeometry g) {
    REQUIRE(testing::set_output_size(g));
    const auto in = testing::random_operands<float>(g, rng);
    const auto expected = testing::plain_loops(g, in, {.bias = in.bias.data()});
    testing::each_isa([&](auto isa, const char* name) {
      using Isa = decltype(isa);
      auto out = testing::poisoned_results(in);
      cpu::conv2d_forward_gemm<float, Isa>(g, in.x.data(), in.w.data(), {.bias = in.bias.data()},
                                           out.y.data());
      cpu::conv2d_backward_data_gemm<float, Isa>(g, in.dy.data(), in.w.data(), out.dx.data());
      cpu::conv2d_backward_weights_gemm<float, Isa>(g, in.x.data(), in.dy.data(), out.dw.data());
      testing::check_close(out, expected, 2e-5, name, g);
    });
  };
  using G = Conv2dGeometry;
  check(G{.n = 5, .h = 32, .w = 32, .c = 3, .o = 16, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(G{.n = 2, .h = 9, .w = 31, .c = 3, .o = 16, .kh = 3, .kw = 3});  // every window inside
  // A line longer than a block of terms; lines of several pictures in a block; fewer lines than pieces.
  check(G{.n = 2, .h = 4, .w = 300, .c = 2, .o = 33, .kh = 3, .kw = 5, .pad_h = 1, .pad_w = 2});
  check(G{.n = 70, .h = 4, .w = 3, .c = 8, .o = 20, .kh = 2, .kw = 3, .pad_w = 1});
  check(G{.n = 1, .h = 1, .w = 9000, .c = 1, .o = 8, .kh = 1, .kw = 3, .pad_w = 1});
  // A kernel wider than the picture.
  check(G{.n = 6, .h = 3, .w = 300, .c = 3, .o = 5, .kh = 3, .kw = 301, .pad_h = 1, .pad_w = 1});
  // Padding beyond the kernel's half, strides that leave a rest, dilation, one side without padding.
  G g{.n = 3, .h = 17, .w = 20, .c = 5, .o = 48, .kh = 5, .kw = 2, .pad_h = 4, .pad_w = 1};
  g.stride_h = 2, g.stride_w = 3, g.dilation_w = 4;
  check(g);
  g = {.n = 2, .h = 23, .w = 22, .c = 3, .o = 64, .kh = 7, .kw = 7, .pad_h = 3, .pad_w = 3};
  g.stride_h = g.stride_w = 2;
  check(g);
  g = {.n = 4, .h = 16, .w = 15, .c = 64, .o = 32, .kh = 3, .kw = 3, .pad_h = 1};  // pixels set apart
  g.stride_h = g.stride_w = 2;
  check(g);
  // Groups, whose channels are copied or lie among the others; windows wholly outside the picture.
  g = {.n = 4, .h = 11, .w = 13, .c = 6, .o = 10, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 2};
  check(g);
  g.pad_h = g.pad_w = 0;
  check(g);
  // Channels and lines that fill a tile, or do not.
  for (const Index o : {1, 8, 16, 17, 32, 40}) {
    for (const Index w : {15, 16, 33}) {
      check(G{.n = 3, .h = 5, .w = w, .c = 4, .o = o, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
    }
  }
  g = {.n = 3, .h = 12, .w = 16, .c = 3, .o = 16, .kh = 3, .kw = 3, .pad_h = 2, .pad_w = 2};
  g.stride_h = g.stride_w = g.dilation_h = g.dilation_w = 2;
  check(g);
  check(G{.n = 4, .h = 12, .w = 13, .c = 5, .o = 32, .kh = 2, .kw = 2});  // taps that leave a rest of three and of six
  check(G{.n = 2, .h = 6, .w = 8, .c = 6, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 2});
  check(G{.n = 40, .h = 1, .w = 1, .c = 4, .o = 17, .kh = 3, .kw = 3, .pad_h = 2, .pad_w = 2});
  // So many channels that some strips are copied together, for tiles of three and of six rows.
  g = {.n = 2, .h = 19, .w = 15, .c = 40, .o = 264, .kh = 1, .kw = 1};
  g.stride_h = g.stride_w = 2;
  check(g);
  g.h = 9, g.w = 16, g.c = 300, g.o = 136, g.pad_w = 1;
  check(g);
  check(G{.n = 2, .h = 9, .w = 10, .c = 40, .o = 130, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
}

TEST_CASE("conv2d: layers of real networks") {
  Rng rng(3);
  const auto layer = [&](Index size, Index in, Index out, Index kernel, Index stride, Index padding) {
    Conv2dGeometry g{.n = 2, .h = size, .w = size, .c = in, .o = out, .kh = kernel, .kw = kernel};
    g.stride_h = g.stride_w = stride;
    g.pad_h = g.pad_w = padding;
    testing::set_output_size(g);
    compare<float>(g, rng, 2e-5);
  };
  layer(32, 3, 16, 3, 1, 1);
  layer(32, 16, 32, 3, 2, 1);
  layer(8, 64, 64, 3, 1, 1);
  layer(56, 3, 64, 7, 2, 3);
  layer(14, 128, 40, 1, 1, 0);
  layer(15, 48, 96, 1, 2, 0);
}

TEST_CASE("conv2d: the same bits with one and with two threads") {
  Rng rng(4);
  Conv2dGeometry g{.n = 5, .h = 33, .w = 31, .c = 19, .o = 37, .kh = 3, .kw = 3};
  g.stride_h = g.stride_w = 2;
  g.pad_h = g.pad_w = 1;
  testing::set_output_size(g);
  const auto in = testing::random_operands<float>(g, rng);
  const auto run = [&](int threads) {
    const testing::ThreadScope scope(threads);
    return convolve(g, in, {.bias = in.bias.data()});
  };
  testing::check_same_bits(run(1), run(2), "two threads");
}

TEST_CASE("conv2d: the errors name both shapes") {
  const auto conv = [](const Shape& x, const Shape& w, const Conv2dParameters& p = {},
                       const Shape& bias = {0}) {
    return error_text<Error>([&] {
      const Var<float> b = bias == Shape{0} ? Var<float>() : Var<float>(Tensor<float>::zeros(bias));
      conv2d(Var<float>(Tensor<float>::zeros(x)), Var<float>(Tensor<float>::zeros(w)), b, p);
    });
  };
  CHECK(conv({8, 32, 32, 3}, {16, 3, 3, 4}) ==
        "conv2d: x (8,32,32,3) has 3 channels, weight (16,3,3,4) expects 4");
  CHECK(conv({32, 32, 3}, {16, 3, 3, 3}) == "conv2d: x (32,32,3), expected (N,H,W,C)");
  CHECK(conv({1, 2, 2, 3}, {4, 3, 3, 3}) ==
        "conv2d: the kernel reaches (3,3), more than the padded picture of x (1,2,2,3)");
  CHECK(conv({1, 8, 8, 3}, {4, 3, 3, 3}, {.stride = {0, 1}}) == "conv2d: stride (0,1), expected at least 1");
  CHECK(conv({1, 8, 8, 3}, {4, 3, 3, 3}, {.dilation = 0}) == "conv2d: dilation (0,0), expected at least 1");
  CHECK(conv({1, 8, 8, 3}, {4, 3, 3, 3}, {.padding = -1}) == "conv2d: padding (-1,-1) is negative");
  CHECK(conv({1, 8, 8, 3}, {4, 3, 3, 3}, {.groups = 2}) ==
        "conv2d: groups 2 must divide the channels of x (1,8,8,3) and of weight (4,3,3,3)");
  CHECK(conv({1, 8, 8, 3}, {4, 3, 3, 3}, {}, {3}) == "conv2d: bias (3) for weight (4,3,3,3)");
  CHECK(testing::contains(conv({1, 8, 8, 0}, {4, 3, 3, 0}), "conv2d: weight (4,3,3,0)"));
  CHECK_NOTHROW(conv2d(Var<float>(Tensor<float>::zeros({0, 8, 8, 3})),
                       Var<float>(Tensor<float>::zeros({4, 3, 3, 3})), Var<float>(), {}));
}
