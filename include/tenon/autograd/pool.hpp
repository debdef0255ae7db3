// Differentiable pooling and resampling of pictures (N,H,W,C).
#pragma once

#include "tenon/autograd/conv.hpp"
#include "tenon/autograd/reduce.hpp"

namespace tenon {

struct Pool2dParameters {
  Size2d kernel = 2;
  Size2d stride = 0;  // 0: as the kernel
  Size2d padding = 0;
};

namespace detail {

inline Pool2dGeometry pool2d_geometry(const Shape& x, const Pool2dParameters& p, std::string_view op) {
  require<ShapeError>(x.rank() == 4 && x[1] > 0 && x[2] > 0, op, ": x ", x,
                      ", expected (N,H,W,C) with pixels");
  const Size2d stride{p.stride.h ? p.stride.h : p.kernel.h, p.stride.w ? p.stride.w : p.kernel.w};
  require<ValueError>(p.kernel.h > 0 && p.kernel.w > 0 && stride.h > 0 && stride.w > 0, op, ": kernel (",
                      p.kernel.h, ",", p.kernel.w, ") and stride (", stride.h, ",", stride.w,
                      "), expected at least 1");
  require<ValueError>(
      p.padding.h >= 0 && p.padding.w >= 0 && 2 * p.padding.h <= p.kernel.h && 2 * p.padding.w <= p.kernel.w,
      op, ": padding (", p.padding.h, ",", p.padding.w, "), expected at most half the kernel (", p.kernel.h,
      ",", p.kernel.w, ")");
  require<ShapeError>(x[1] + 2 * p.padding.h >= p.kernel.h && x[2] + 2 * p.padding.w >= p.kernel.w, op,
                      ": kernel (", p.kernel.h, ",", p.kernel.w, ") is larger than the padded picture of x ",
                      x);
  Pool2dGeometry g{.n = x[0],
                   .h = x[1],
                   .w = x[2],
                   .c = x[3],
                   .kh = p.kernel.h,
                   .kw = p.kernel.w,
                   .stride_h = stride.h,
                   .stride_w = stride.w,
                   .pad_h = p.padding.h,
                   .pad_w = p.padding.w};
  g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, 1);
  g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, 1);
  return g;
}

inline ResizeGeometry resize_geometry(const Shape& x, Size2d out, std::string_view op) {
  require<ShapeError>(x.rank() == 4 && x[1] > 0 && x[2] > 0, op, ": x ", x,
                      ", expected (N,H,W,C) with pixels");
  require<ValueError>(out.h > 0 && out.w > 0, op, ": output (", out.h, ",", out.w, "), expected at least 1");
  return {.n = x[0], .h = x[1], .w = x[2], .c = x[3], .oh = out.h, .ow = out.w};
}

}  // namespace detail

namespace detail {

// Keeps, for each result, which tap of its window it came from, in integers of type I: where a gradient may be wanted.
template <class I, class T, class D>
Var<T, D> max_pool2d(const Var<T, D>& x, const Pool2dGeometry& g) {
  Tensor<T, D> y({g.n, g.oh, g.ow, g.c});
  if constexpr (requires { Backend<D>::max_pool_forward(g, y.data(), y.data()); }) {
    if (!is_recorded<T, D>({x})) {
      if (y.numel() > 0) Backend<D>::max_pool_forward(g, x.value().data(), y.data());
      return Var<T, D>(std::move(y));
    }
  }
  Tensor<I, D> index(y.shape());
  if (y.numel() > 0) Backend<D>::max_pool_forward(g, x.value().data(), y.data(), index.data());
  return record(std::move(y), {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::max_pool_backward(g, dy.data(), index.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

}  // namespace detail

// The largest value of each window; the gradient goes to the first position that holds it.
template <class T, class D>
Var<T, D> max_pool2d(const Var<T, D>& x, const Pool2dParameters& p) {
  const auto g = detail::pool2d_geometry(x.shape(), p, "max_pool2d");
  return g.kh * g.kw <= 256 ? detail::max_pool2d<std::uint8_t>(x, g) : detail::max_pool2d<std::int32_t>(x, g);
}

// The mean of each window, padding counted as zeros (PyTorch's default).
template <class T, class D>
Var<T, D> avg_pool2d(const Var<T, D>& x, const Pool2dParameters& p) {
  const auto g = detail::pool2d_geometry(x.shape(), p, "avg_pool2d");
  Tensor<T, D> y({g.n, g.oh, g.ow, g.c});
  if (y.numel() > 0) Backend<D>::avg_pool_forward(g, x.value().data(), y.data());
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::avg_pool_backward(g, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

// The mean of windows chosen so that the output has the given size, whatever the input's.
template <class T, class D>
Var<T, D> adaptive_avg_pool2d(const Var<T, D>& x, Size2d out) {
  const auto g = detail::resize_geometry(x.shape(), out, "adaptive_avg_pool2d");
  Tensor<T, D> y({g.n, g.oh, g.ow, g.c});
  if (y.numel() > 0) Backend<D>::adaptive_avg_pool_forward(g, x.value().data(), y.data());
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::adaptive_avg_pool_backward(g, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

// The mean over the whole picture: (N,H,W,C) -> (N,C).
template <class T, class D>
Var<T, D> global_avg_pool2d(const Var<T, D>& x) {
  const auto g = detail::resize_geometry(x.shape(), 1, "global_avg_pool2d");
  Tensor<T, D> y({g.n, g.c});
  if (y.numel() > 0) Backend<D>::adaptive_avg_pool_forward(g, x.value().data(), y.data());
  return record(std::move(y), {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::adaptive_avg_pool_backward(g, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

// Each output pixel takes the input pixel at floor(i·in/out).
template <class T, class D>
Var<T, D> upsample_nearest(const Var<T, D>& x, Size2d out) {
  const auto g = detail::resize_geometry(x.shape(), out, "upsample_nearest");
  Tensor<T, D> y({g.n, g.oh, g.ow, g.c});
  if (y.numel() > 0) Backend<D>::upsample_nearest_forward(g, x.value().data(), y.data());
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::upsample_nearest_backward(g, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

struct BilinearOptions {
  bool align_corners = false;
};

// Linear interpolation between pixel centres (between corner centres with align_corners).
template <class T, class D>
Var<T, D> upsample_bilinear(const Var<T, D>& x, Size2d out, BilinearOptions options = {}) {
  auto g = detail::resize_geometry(x.shape(), out, "upsample_bilinear");
  g.align_corners = options.align_corners;
  Tensor<T, D> y({g.n, g.oh, g.ow, g.c});
  if (y.numel() > 0) Backend<D>::upsample_bilinear_forward(g, x.value().data(), y.data());
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::upsample_bilinear_backward(g, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

}  // namespace tenon
