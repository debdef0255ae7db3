// Convolution as matrix multiplication against its plain loops.
#include "close.hpp"
#include "tenon/autograd/conv.hpp"
#include "threads_scope.hpp"

using namespace tenon;
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
    if (g.h + 2 * g.pad_h < g.dilation_h * (g.kh - 1) + 1 ||
        g.w + 2 * g.pad_w < g.dilation_w * (g.kw - 1) + 1)
      continue;
    g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
    g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
    return g;
  }
}

std::string describe(const Conv2dGeometry& g) {
  return text("x (", g.n, ",", g.h, ",", g.w, ",", g.c, ") w (", g.o, ",", g.kh, ",", g.kw, ",", g.group_in(),
              ") stride ", g.stride_h, ",", g.stride_w, " padding ", g.pad_h, ",", g.pad_w, " dilation ",
              g.dilation_h, ",", g.dilation_w, " groups ", g.groups);
}

template <class T>
void compare(const Conv2dGeometry& g, Rng& rng, double tolerance) {
  const auto x = Tensor<T>::uniform({g.n, g.h, g.w, g.c}, rng, -1, 1);
  const auto w = Tensor<T>::uniform({g.o, g.kh, g.kw, g.group_in()}, rng, -1, 1);
  const auto bias = Tensor<T>::uniform({g.o}, rng, -1, 1);
  const auto dy = Tensor<T>::uniform({g.n, g.oh, g.ow, g.o}, rng, -1, 1);
  const auto poisoned = [](const Shape& s) {
    return Tensor<T>::full(s, std::numeric_limits<T>::quiet_NaN());
  };
  const std::string what = describe(g);

  auto y = poisoned(dy.shape()), y_ref = poisoned(dy.shape());
  for (const T* b : {bias.data(), static_cast<const T*>(nullptr)}) {
    cpu::conv2d_forward(g, x.data(), w.data(), cpu::Epilogue<T>{b}, y.data());
    cpu::conv2d_forward_reference(g, x.data(), w.data(), b, y_ref.data());
    CHECK_MESSAGE(error_of(y, y_ref) <= tolerance, "forward ", what);
  }
  auto dx = poisoned(x.shape()), dx_ref = poisoned(x.shape());
  cpu::conv2d_backward_data(g, dy.data(), w.data(), dx.data());
  cpu::conv2d_backward_data_reference(g, dy.data(), w.data(), dx_ref.data());
  CHECK_MESSAGE(error_of(dx, dx_ref) <= tolerance, "backward data ", what);

  auto dw = poisoned(w.shape()), dw_ref = poisoned(w.shape());
  cpu::conv2d_backward_weights(g, x.data(), dy.data(), dw.data());
  cpu::conv2d_backward_weights_reference(g, x.data(), dy.data(), dw_ref.data());
  CHECK_MESSAGE(error_of(dw, dw_ref) <= tolerance, "backward weights ", what);
}

}  // namespace

TEST_CASE("conv2d: 150 random geometries in double") {
  Rng rng(1);
  for (int i = 0; i < 150; ++i) compare<double>(random_geometry(rng), rng, 1e-13);
}

TEST_CASE("conv2d: 150 random geometries in float") {
  Rng rng(2);
  for (int i = 0; i < 150; ++i) compare<float>(random_geometry(rng), rng, 2e-5);
}

TEST_CASE("conv2d: layers of real networks") {
  Rng rng(3);
  const auto layer = [&](Index size, Index in, Index out, Index kernel, Index stride, Index padding) {
    Conv2dGeometry g{.n = 2, .h = size, .w = size, .c = in, .o = out, .kh = kernel, .kw = kernel};
    g.stride_h = g.stride_w = stride;
    g.pad_h = g.pad_w = padding;
    g.oh = g.ow = conv_extent(size, kernel, stride, padding, 1);
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
  const Conv2dGeometry g{.n = 5,
                         .h = 33,
                         .w = 31,
                         .c = 19,
                         .o = 37,
                         .kh = 3,
                         .kw = 3,
                         .oh = 17,
                         .ow = 16,
                         .stride_h = 2,
                         .stride_w = 2,
                         .pad_h = 1,
                         .pad_w = 1};
  const auto x = Tensor<float>::uniform({g.n, g.h, g.w, g.c}, rng, -1, 1);
  const auto w = Tensor<float>::uniform({g.o, g.kh, g.kw, g.c}, rng, -1, 1);
  const auto dy = Tensor<float>::uniform({g.n, g.oh, g.ow, g.o}, rng, -1, 1);
  struct Results {
    Tensor<float> y, dx, dw;
  };
  const auto run = [&](int threads) {
    const testing::ThreadScope scope(threads);
    Results r{Tensor<float>(dy.shape()), Tensor<float>(x.shape()), Tensor<float>(w.shape())};
    cpu::conv2d_forward(g, x.data(), w.data(), cpu::Epilogue<float>{w.data()}, r.y.data());
    cpu::conv2d_backward_data(g, dy.data(), w.data(), r.dx.data());
    cpu::conv2d_backward_weights(g, x.data(), dy.data(), r.dw.data());
    return r;
  };
  const Results one = run(1), two = run(2);
  CHECK(testing::same_bits(one.y, two.y));
  CHECK(testing::same_bits(one.dx, two.dx));
  CHECK(testing::same_bits(one.dw, two.dw));
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
  CHECK(conv({0, 8, 8, 3}, {4, 3, 3, 3}) == "nothing was thrown");
}
