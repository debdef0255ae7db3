// Depthwise convolution against the plain loops.
#include "tenon/backend/cpu/conv_depthwise.hpp"

#include "close.hpp"
#include "each_isa.hpp"
#include "tenon/autograd/conv.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;

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
    if (g.h + 2 * g.pad_h < g.dilation_h * (g.kh - 1) + 1 ||
        g.w + 2 * g.pad_w < g.dilation_w * (g.kw - 1) + 1)
      continue;
    g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
    g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
    return g;
  }
}

std::string describe(const Conv2dGeometry& g) {
  return text("x (", g.n, ",", g.h, ",", g.w, ",", g.c, ") w (", g.o, ",", g.kh, ",", g.kw, ") stride ",
              g.stride_h, ",", g.stride_w, " padding ", g.pad_h, ",", g.pad_w, " dilation ", g.dilation_h,
              ",", g.dilation_w);
}

template <class T>
Tensor<T> poisoned(const Shape& s) {
  return Tensor<T>::full(s, std::numeric_limits<T>::quiet_NaN());
}

template <class T>
struct Operands {
  Tensor<T> x, w, bias, dy;

  Operands(const Conv2dGeometry& g, Rng& rng)
      : x(Tensor<T>::uniform({g.n, g.h, g.w, g.c}, rng, -1, 1)),
        w(Tensor<T>::uniform({g.o, g.kh, g.kw, g.group_in()}, rng, -1, 1)),
        bias(Tensor<T>::uniform({g.o}, rng, -1, 1)),
        dy(Tensor<T>::uniform({g.n, g.oh, g.ow, g.o}, rng, -1, 1)) {}
};

template <class T>
struct Results {
  Tensor<T> y, dx, dw;

  explicit Results(const Operands<T>& in)
      : y(poisoned<T>(in.dy.shape())), dx(poisoned<T>(in.x.shape())), dw(poisoned<T>(in.w.shape())) {}
};

template <class T, class Isa>
Results<T> depthwise(const Conv2dGeometry& g, const Operands<T>& in, const cpu::Epilogue<T>& finish) {
  Results<T> out(in);
  cpu::conv2d_forward_depthwise<T, Isa>(g, in.x.data(), in.w.data(), finish, out.y.data());
  cpu::conv2d_backward_data_depthwise<T, Isa>(g, in.dy.data(), in.w.data(), out.dx.data());
  cpu::conv2d_backward_weights_depthwise<T, Isa>(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

template <class T>
Results<T> plain_loops(const Conv2dGeometry& g, const Operands<T>& in, const cpu::Epilogue<T>& finish) {
  Results<T> out(in);
  cpu::conv2d_forward_reference(g, in.x.data(), in.w.data(), finish.bias, out.y.data());
  for (Index i = 0; i < out.y.numel(); ++i) {
    T& value = out.y.data()[i];
    if (finish.residual) value += finish.residual[i];
    if (finish.relu) value = std::max(T(0), value);
  }
  cpu::conv2d_backward_data_reference(g, in.dy.data(), in.w.data(), out.dx.data());
  cpu::conv2d_backward_weights_reference(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

template <class T>
void compare(const Conv2dGeometry& g, Rng& rng, double tolerance) {
  const Operands<T> in(g, rng);
  cpu::Epilogue<T> finish{.relu = rng.below(2) == 0};
  if (rng.below(3)) finish.bias = in.bias.data();
  if (rng.below(2)) finish.residual = in.dy.data();
  const auto expected = plain_loops(g, in, finish);
  testing::each_isa([&](auto isa, const char* name) {
    const auto found = depthwise<T, decltype(isa)>(g, in, finish);
    CHECK_MESSAGE(error_of(found.y, expected.y) <= tolerance, name, " forward ", describe(g));
    CHECK_MESSAGE(error_of(found.dx, expected.dx) <= tolerance, name, " backward data ", describe(g));
    CHECK_MESSAGE(error_of(found.dw, expected.dw) <= tolerance, name, " backward weights ", describe(g));
  });
}

}  // namespace

TEST_CASE("depthwise convolution: 150 random geometries on every instruction set") {
  Rng rng(1);
  for (int i = 0; i < 150; ++i) {
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
    g.oh = conv_extent(g.h, g.kh, stride, 1, 1);
    g.ow = conv_extent(g.w, g.kw, stride, 1, 1);
    const Operands<float> in(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      const auto run = [&](int threads) {
        const testing::ThreadScope scope(threads);
        return depthwise<float, decltype(isa)>(g, in, {.bias = in.bias.data(), .relu = true});
      };
      const auto one = run(1);
      for (const int threads : {2, 3}) {
        const auto more = run(threads);
        CHECK_MESSAGE(testing::same_bits(one.y, more.y), name, " forward, ", threads, " threads");
        CHECK_MESSAGE(testing::same_bits(one.dx, more.dx), name, " backward data, ", threads, " threads");
        CHECK_MESSAGE(testing::same_bits(one.dw, more.dw), name, " backward weights, ", threads, " threads");
      }
    });
  }
}

TEST_CASE("depthwise convolution: a NaN reaches the windows that see it, padding adds nothing to infinity") {
  Rng rng(3);
  Conv2dGeometry g{.n = 1, .h = 9, .w = 9, .c = 20, .o = 20, .kh = 3, .kw = 3, .oh = 9, .ow = 9};
  g.groups = g.c;
  g.pad_h = g.pad_w = 1;
  Operands<float> in(g, rng);
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
