// Differentiable 2-D convolution (cross-correlation, as every framework calls it).
#pragma once

#include "tenon/autograd/arithmetic.hpp"
#include "tenon/autograd/statistics.hpp"

namespace tenon {

// An extent in both directions of a picture; one number sets both: {.kernel = 3}, {.kernel = {3, 1}}.
struct Size2d {
  Index h = 0, w = 0;

  constexpr Size2d() = default;
  constexpr Size2d(Index both) : h(both), w(both) {}  // NOLINT(google-explicit-constructor)
  constexpr Size2d(Index height, Index width) : h(height), w(width) {}
};

struct Conv2dParameters {
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  Index groups = 1;
  // For weights that stay as they are: what the algorithms make of them is kept, until they are written, in as
  // much memory again as they have, or up to four times as much for 3×3.
  bool keep_prepared = false;
};

// y = relu(convolved + residual), each where asked for. `statistics` are filled with those of y where the backend
// can gather them on the way, which saves a normalisation a pass.
template <class T, class D>
struct AfterConv {
  Var<T, D> residual{};  // of the convolution's shape
  bool relu = false;
  BatchStatistics<T, D>* statistics = nullptr;
};

namespace detail {

inline Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& w, const Conv2dParameters& p) {
  require<ShapeError>(x.rank() == 4, "conv2d: x ", x, ", expected (N,H,W,C)");
  require<ShapeError>(w.rank() == 4 && w.numel() > 0, "conv2d: weight ", w,
                      ", expected (O,KH,KW,C/groups), none of them 0");
  require<ValueError>(p.stride.h > 0 && p.stride.w > 0, "conv2d: stride (", p.stride.h, ",", p.stride.w,
                      "), expected at least 1");
  require<ValueError>(p.dilation.h > 0 && p.dilation.w > 0, "conv2d: dilation (", p.dilation.h, ",",
                      p.dilation.w, "), expected at least 1");
  require<ValueError>(p.padding.h >= 0 && p.padding.w >= 0, "conv2d: padding (", p.padding.h, ",",
                      p.padding.w, ") is negative");
  require<ValueError>(p.groups > 0 && x[3] % p.groups == 0 && w[0] % p.groups == 0, "conv2d: groups ",
                      p.groups, " must divide the channels of x ", x, " and of weight ", w);
  require<ShapeError>(x[3] == w[3] * p.groups, "conv2d: x ", x, " has ", x[3], " channels, weight ", w,
                      " expects ", w[3] * p.groups);
  Conv2dGeometry g{.n = x[0],
                   .h = x[1],
                   .w = x[2],
                   .c = x[3],
                   .o = w[0],
                   .kh = w[1],
                   .kw = w[2],
                   .stride_h = p.stride.h,
                   .stride_w = p.stride.w,
                   .pad_h = p.padding.h,
                   .pad_w = p.padding.w,
                   .dilation_h = p.dilation.h,
                   .dilation_w = p.dilation.w,
                   .groups = p.groups};
  const Index reach_h = p.dilation.h * (w[1] - 1) + 1, reach_w = p.dilation.w * (w[2] - 1) + 1;
  require<ShapeError>(x[1] + 2 * p.padding.h >= reach_h && x[2] + 2 * p.padding.w >= reach_w,
                      "conv2d: the kernel reaches (", reach_h, ",", reach_w,
                      "), more than the padded picture of x ", x);
  g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
  g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
  return g;
}

template <class T, class D>
void check_conv2d_bias(const Var<T, D>& bias, const Var<T, D>& weight, const Conv2dGeometry& g) {
  require<ShapeError>(!bias.defined() || bias.shape() == Shape{g.o}, "conv2d: bias ",
                      bias.defined() ? bias.shape() : Shape{}, " for weight ", weight.shape());
}

// relu(conv(x) + bias + residual): in one pass where the backend has it so, over the residual's own elements if
// `overwrite`; else one after the other.
template <class T, class D>
Tensor<T, D> conv2d_forward(const Conv2dGeometry& g, bool keep, const Tensor<T, D>& x, const Tensor<T, D>& weight,
                            const T* bias, const AfterConv<T, D>& after, bool overwrite) {
  const Tensor<T, D> residual = after.residual.defined() ? after.residual.value() : Tensor<T, D>();
  Tensor<T, D> y({g.n, g.oh, g.ow, g.o});
  if (y.numel() == 0) return y;
  if constexpr (requires {
                  Backend<D>::conv2d_forward(g, x.data(), weight.data(), weight.derived(), {.bias = bias},
                                             y.data());
                }) {
    if (overwrite) y = residual;
    const T* more = residual.defined() ? residual.data() : nullptr;
    auto* forms = keep ? weight.derived() : nullptr;
    if (after.statistics) {
      *after.statistics = {Tensor<T, D>({g.o}), Tensor<T, D>({g.o})};
      Backend<D>::conv2d_forward(g, x.data(), weight.data(), forms,
                                 {.bias = bias, .residual = more, .relu = after.relu}, y.data(),
                                 after.statistics->mean.data(), after.statistics->variance.data());
    } else {
      Backend<D>::conv2d_forward(g, x.data(), weight.data(), forms,
                                 {.bias = bias, .residual = more, .relu = after.relu}, y.data());
    }
  } else {
    Backend<D>::conv2d_forward(g, x.data(), weight.data(), bias, y.data());
    if (residual.defined()) zip_(fn::Add{}, y, residual, "conv2d");
    if (after.relu) Backend<D>::map(fn::Relu{}, y.data(), y.data(), y.numel());
  }
  return y;
}

// Adds the gradient to that of x: in the same pass where the backend has it so, something is there already and
// nobody else holds it.
template <class T, class D>
void conv2d_add_backward_data(const Conv2dGeometry& g, const Tensor<T, D>& dy, const Tensor<T, D>& weight,
                              Var<T, D> x) {
  if constexpr (requires(T* dx) { Backend<D>::conv2d_add_backward_data(g, dy.data(), weight.data(), dx); }) {
    if (x.grad().defined() && x.grad().unique()) {
      Tensor<T, D> sum = x.take_grad();
      Backend<D>::conv2d_add_backward_data(g, dy.data(), weight.data(), sum.data());
      return x.set_grad(std::move(sum));
    }
  }
  Tensor<T, D> dx(x.shape());
  Backend<D>::conv2d_backward_data(g, dy.data(), weight.data(), dx.data());
  x.accumulate(std::move(dx));
}

}  // namespace detail

// x (N,H,W,C), weight (O,KH,KW,C/groups), bias (O) or undefined -> (N,H',W',O),
// H' = (H + 2·padding - dilation·(KH-1) - 1)/stride + 1, rounded down. groups = C makes it depthwise.
// What comes after it in a network, adding a shortcut and rectifying, can be part of the operation: the
// passes over memory are then shared, and only the result is kept for backward. A residual that is handed over, by
// std::move, may become the result where no gradient is wanted.
template <class T, class D>
Var<T, D> conv2d(const Var<T, D>& x, const Var<T, D>& weight, const Var<T, D>& bias,
                 const Conv2dParameters& p = {}, std::type_identity_t<AfterConv<T, D>> after = {}) {
  const auto g = detail::conv2d_geometry(x.shape(), weight.shape(), p);
  detail::check_conv2d_bias(bias, weight, g);
  const bool given = after.residual.defined() && after.residual.unique();
  const Var<T, D> residual = after.residual;
  const Shape shape{g.n, g.oh, g.ow, g.o};
  require<ShapeError>(!residual.defined() || residual.shape() == shape, "conv2d: residual ",
                      residual.defined() ? residual.shape() : Shape{}, " for a result ", shape);
  const bool overwrite = given && !is_recorded<T, D>({x, weight, bias, residual});
  const auto y = detail::conv2d_forward(g, p.keep_prepared, x.value(), weight.value(),
                                        bias.defined() ? bias.value().data() : nullptr, after, overwrite);
  return record(y, {x, weight, bias, residual}, [=, kept = after.relu ? y : Tensor<T, D>()](Tensor<T, D> dy) {
    if (kept.defined()) {
      if (dy.unique()) {
        zip_(fn::ReluGrad{}, dy, kept, "conv2d");
      } else {
        dy = zip(fn::ReluGrad{}, dy, kept, "conv2d");
      }
    }
    if (x.requires_grad()) {
      detail::conv2d_add_backward_data(g, dy, weight.value(), x);
    }
    if (weight.requires_grad()) {
      Tensor<T, D> dw(weight.shape());
      Backend<D>::conv2d_backward_weights(g, x.value().data(), dy.data(), dw.data());
      weight.accumulate(std::move(dw));
    }
    if (bias.requires_grad()) bias.accumulate(sum(dy, {.axes = {0, 1, 2}}));
    if (residual.requires_grad()) residual.accumulate(std::move(dy));
  });
}

}  // namespace tenon
