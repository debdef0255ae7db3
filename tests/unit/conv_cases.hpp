// Convolutions to try: the operands of a geometry, what the plain loops make of them, and comparing with
// that.
#pragma once

#include "close.hpp"
#include "tenon/backend/cpu/conv.hpp"

namespace tenon::testing {

// Sets oh and ow; false where the kernel reaches further than the padded picture.
inline bool set_output_size(Conv2dGeometry& g) {
  g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
  g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
  return g.h + 2 * g.pad_h >= g.dilation_h * (g.kh - 1) + 1 &&
         g.w + 2 * g.pad_w >= g.dilation_w * (g.kw - 1) + 1;
}

inline std::string describe(const Conv2dGeometry& g) {
  return text("x (", g.n, ",", g.h, ",", g.w, ",", g.c, ") w (", g.o, ",", g.kh, ",", g.kw, ",", g.group_in(),
              ") stride ", g.stride_h, ",", g.stride_w, " padding ", g.pad_h, ",", g.pad_w, " dilation ",
              g.dilation_h, ",", g.dilation_w, " groups ", g.groups);
}

// To be written: a value that is left out is found out.
template <class T>
Tensor<T> poisoned(const Shape& shape) {
  return Tensor<T>::full(shape, std::numeric_limits<T>::quiet_NaN());
}

// x (n,h,w,c), w (o,kh,kw,c/groups), bias (o), and dy (n,oh,ow,o), the gradient of the result.
template <class T>
struct ConvOperands {
  Tensor<T> x, w, bias, dy;
};

template <class T>
ConvOperands<T> random_operands(const Conv2dGeometry& g, Rng& rng) {
  return {.x = Tensor<T>::uniform({g.n, g.h, g.w, g.c}, rng, -1, 1),
          .w = Tensor<T>::uniform({g.o, g.kh, g.kw, g.group_in()}, rng, -1, 1),
          .bias = Tensor<T>::uniform({g.o}, rng, -1, 1),
          .dy = Tensor<T>::uniform({g.n, g.oh, g.ow, g.o}, rng, -1, 1)};
}

// The result y (n,oh,ow,o) and the gradients of x and w.
template <class T>
struct ConvResults {
  Tensor<T> y, dx, dw;
};

template <class T>
ConvResults<T> poisoned_results(const ConvOperands<T>& in) {
  return {.y = poisoned<T>(in.dy.shape()), .dx = poisoned<T>(in.x.shape()), .dw = poisoned<T>(in.w.shape())};
}

// The same values as doubles.
inline Tensor<double> exactly(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  std::copy_n(x.data(), x.numel(), y.data());
  return y;
}
inline ConvOperands<double> exactly(const ConvOperands<float>& in) {
  return {.x = exactly(in.x), .w = exactly(in.w), .bias = exactly(in.bias), .dy = exactly(in.dy)};
}
inline ConvResults<double> exactly(const ConvResults<float>& in) {
  return {.y = exactly(in.y), .dx = exactly(in.dx), .dw = exactly(in.dw)};
}

// The result by plain loops, y (n,oh,ow,o).
template <class T>
Tensor<T> plain_forward(const Conv2dGeometry& g, const ConvOperands<T>& in, const cpu::Epilogue<T>& finish) {
  auto y = poisoned<T>(in.dy.shape());
  cpu::conv2d_forward_reference(g, in.x.data(), in.w.data(), finish.bias, y.data());
  for (Index i = 0; i < y.numel(); ++i) {
    T& value = y.data()[i];
    if (finish.residual) value += finish.residual[i];
    if (finish.relu) value = std::max(T(0), value);
  }
  return y;
}

template <class T>
ConvResults<T> plain_loops(const Conv2dGeometry& g, const ConvOperands<T>& in,
                           const cpu::Epilogue<T>& finish) {
  auto out = poisoned_results(in);
  out.y = plain_forward(g, in, finish);
  cpu::conv2d_backward_data_reference(g, in.dy.data(), in.w.data(), out.dx.data());
  cpu::conv2d_backward_weights_reference(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

template <class T>
void check_close(const ConvResults<T>& found, const ConvResults<T>& expected, double tolerance,
                 const char* what, const Conv2dGeometry& g) {
  CHECK_MESSAGE(error_of(found.y, expected.y) <= tolerance, what, " forward ", describe(g));
  CHECK_MESSAGE(error_of(found.dx, expected.dx) <= tolerance, what, " backward data ", describe(g));
  CHECK_MESSAGE(error_of(found.dw, expected.dw) <= tolerance, what, " backward weights ", describe(g));
}

template <class T>
void check_same_bits(const ConvResults<T>& a, const ConvResults<T>& b, const std::string& what) {
  CHECK_MESSAGE(same_bits(a.y, b.y), what, " forward");
  CHECK_MESSAGE(same_bits(a.dx, b.dx), what, " backward data");
  CHECK_MESSAGE(same_bits(a.dw, b.dw), what, " backward weights");
}

}  // namespace tenon::testing
