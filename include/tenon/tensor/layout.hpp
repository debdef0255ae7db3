// Moving elements: permute, slice, concatenate, pad, broadcast. Each result has elements of its own.
#pragma once

#include <vector>

#include "tenon/tensor/elementwise.hpp"

namespace tenon {

namespace detail {

// Row-major strides of a shape.
inline std::array<Index, Shape::max_rank> dense_strides(const Shape& shape) {
  std::array<Index, Shape::max_rank> strides{};
  Index stride = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    strides[static_cast<std::size_t>(d)] = stride;
    stride *= shape[d];
  }
  return strides;
}

// A copy of `extent` elements between two dense tensors, from offsets that the caller sets.
inline StridedGeometry box_geometry(const Shape& x, const Shape& y, const Shape& extent) {
  StridedGeometry g;
  g.rank = std::max(1, extent.rank());
  g.extent[0] = 1;  // a scalar is one run of one element
  g.stride_x[0] = g.stride_y[0] = 1;
  const auto sx = dense_strides(x), sy = dense_strides(y);
  for (int d = 0; d < extent.rank(); ++d) {
    const auto at = static_cast<std::size_t>(d);
    g.extent[at] = extent[d];
    g.stride_x[at] = sx[at];
    g.stride_y[at] = sy[at];
  }
  return g;
}

}  // namespace detail

// y[i_axes[0], i_axes[1], …] = x[i_0, i_1, …]: dimension d of the result is dimension axes[d] of x.
template <class T, class D>
Tensor<T, D> permute(const Tensor<T, D>& x, const std::vector<int>& axes) {
  require<ShapeError>(static_cast<int>(axes.size()) == x.rank(), "permute: ", axes.size(), " axes for shape ",
                      x.shape());
  const auto strides = detail::dense_strides(x.shape());
  std::array<bool, Shape::max_rank> used{};
  Shape shape;
  std::array<Index, Shape::max_rank> from{};
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const auto axis = static_cast<std::size_t>(x.shape().axis(axes[d], "permute"));
    require<ShapeError>(!used[axis], "permute: axis ", axes[d], " is given twice");
    used[axis] = true;
    shape.push_back(x.size(static_cast<int>(axis)));
    from[d] = strides[axis];
  }
  Tensor<T, D> y(shape);
  auto g = detail::box_geometry(shape, shape, shape);
  if (!axes.empty()) g.stride_x = from;
  Backend<D>::copy_strided(g, x.data(), y.data());
  return y;
}

// The last two dimensions exchanged.
template <class T, class D>
Tensor<T, D> transpose(const Tensor<T, D>& x) {
  require<ShapeError>(x.rank() >= 2, "transpose: shape ", x.shape(), " has fewer than 2 dimensions");
  std::vector<int> axes;
  for (int d = 0; d < x.rank(); ++d) axes.push_back(d);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return permute(x, axes);
}

// x with positions begin … end-1 along an axis; negative positions count from the end.
struct SliceRange {
  Index begin = 0;
  Index end = std::numeric_limits<Index>::max();
};

template <class T, class D>
Tensor<T, D> slice(const Tensor<T, D>& x, int axis, SliceRange range) {
  const int d = x.shape().axis(axis, "slice");
  const Index extent = x.size(d);
  const Index begin = range.begin < 0 ? range.begin + extent : range.begin;
  const Index end = range.end < 0 ? range.end + extent : std::min(range.end, extent);
  require<ShapeError>(begin >= 0 && begin <= end, "slice: ", range.begin, " to ", range.end, " along axis ", axis,
                      " of shape ", x.shape());
  Shape shape = x.shape();
  shape.set(d, end - begin);
  Tensor<T, D> y(shape);
  auto g = detail::box_geometry(x.shape(), shape, shape);
  g.x_offset = begin * g.stride_x[static_cast<std::size_t>(d)];
  Backend<D>::copy_strided(g, x.data(), y.data());
  return y;
}

// Joins tensors along an axis; their other extents must be equal.
template <class T, class D>
Tensor<T, D> concat(const std::vector<Tensor<T, D>>& xs, int axis = 0) {
  require<ShapeError>(!xs.empty(), "concat: no tensors");
  const int d = xs[0].shape().axis(axis, "concat");
  Shape shape = xs[0].shape();
  Index total = 0;
  for (const auto& x : xs) {
    Shape same = shape;
    require<ShapeError>(x.rank() == shape.rank(), "concat: shapes ", shape, " and ", x.shape());
    same.set(d, x.size(d));
    require<ShapeError>(same == x.shape(), "concat along axis ", axis, ": shapes ", xs[0].shape(), " and ", x.shape());
    total += x.size(d);
  }
  shape.set(d, total);
  Tensor<T, D> y(shape);
  Index at = 0;
  for (const auto& x : xs) {
    auto g = detail::box_geometry(x.shape(), shape, x.shape());
    g.y_offset = at * g.stride_y[static_cast<std::size_t>(d)];
    Backend<D>::copy_strided(g, x.data(), y.data());
    at += x.size(d);
  }
  return y;
}

// Tensors of one shape, side by side along a new leading dimension.
template <class T, class D>
Tensor<T, D> stack(const std::vector<Tensor<T, D>>& xs) {
  require<ShapeError>(!xs.empty(), "stack: no tensors");
  std::vector<Tensor<T, D>> rows;
  for (const auto& x : xs) {
    Shape shape{1};
    for (const Index e : x.shape()) shape.push_back(e);
    rows.push_back(x.reshape(shape));
  }
  return concat(rows, 0);
}

// How many elements to add before and after each dimension.
struct Padding {
  Index before = 0, after = 0;
};

template <class T, class D>
Tensor<T, D> pad(const Tensor<T, D>& x, const std::vector<Padding>& padding, double value = 0) {
  require<ShapeError>(static_cast<int>(padding.size()) == x.rank(), "pad: ", padding.size(), " paddings for shape ",
                      x.shape());
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) {
    const Padding p = padding[static_cast<std::size_t>(d)];
    require<ShapeError>(p.before >= 0 && p.after >= 0, "pad: negative padding (", p.before, ", ", p.after,
                        ") in dimension ", d);
    shape.push_back(p.before + x.size(d) + p.after);
  }
  auto y = Tensor<T, D>::full(shape, static_cast<T>(value));
  auto g = detail::box_geometry(x.shape(), shape, x.shape());
  for (std::size_t d = 0; d < padding.size(); ++d) g.y_offset += padding[d].before * g.stride_y[d];
  Backend<D>::copy_strided(g, x.data(), y.data());
  return y;
}

// x repeated to a larger shape.
template <class T, class D>
Tensor<T, D> broadcast_to(const Tensor<T, D>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  require<ShapeError>(broadcast_shape(x.shape(), shape, "broadcast_to") == shape, "broadcast_to: ", x.shape(),
                      " does not broadcast to ", shape);
  Tensor<T, D> y(shape);
  auto g = detail::box_geometry(shape, shape, shape);
  if (shape.rank() > 0) g.stride_x = detail::broadcast_strides(x.shape(), shape);
  Backend<D>::copy_strided(g, x.data(), y.data());
  return y;
}

}  // namespace tenon
