// Reductions over chosen axes: sum, mean, max, min, argmax, and the sum that undoes a broadcast.
#pragma once

#include <algorithm>
#include <vector>

#include "tenon/tensor/elementwise.hpp"

namespace tenon {

// Which axes to reduce (all when empty), and whether they stay with extent 1.
struct ReduceOptions {
  std::vector<int> axes{};
  bool keepdim = false;
};

namespace detail {

inline std::vector<bool> reduced_axes(const Shape& shape, const std::vector<int>& axes, std::string_view op) {
  std::vector<bool> reduced(static_cast<std::size_t>(shape.rank()), axes.empty());
  for (const int a : axes) reduced[static_cast<std::size_t>(shape.axis(a, op))] = true;
  return reduced;
}

// Runs of neighbouring reduced axes, last first, one kernel each.
template <class Op, class T, class D>
Tensor<T, D> reduce(Op op, const Tensor<T, D>& x, const ReduceOptions& options, std::string_view name) {
  const auto reduced = reduced_axes(x.shape(), options.axes, name);
  Tensor<T, D> y = x;
  bool copied = false;
  for (int last = x.rank() - 1; last >= 0; --last) {
    if (!reduced[static_cast<std::size_t>(last)]) continue;
    int first = last;
    while (first > 0 && reduced[static_cast<std::size_t>(first - 1)]) --first;
    ReduceGeometry g;
    Shape shape;
    for (int d = 0; d < x.rank(); ++d) {
      const Index e = y.size(d);
      (d < first ? g.outer : d <= last ? g.n : g.inner) *= e;
      shape.push_back(d >= first && d <= last ? 1 : e);
    }
    Tensor<T, D> next(shape);
    if (next.numel() > 0) Backend<D>::reduce(op, g, y.data(), next.data());
    y = next;
    copied = true;
    last = first;
  }
  if (!copied) y = y.clone();
  if (options.keepdim) return y;
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) {
    if (!reduced[static_cast<std::size_t>(d)]) shape.push_back(x.size(d));
  }
  return y.reshape(shape);
}

inline Index reduced_count(const Shape& shape, const std::vector<int>& axes, std::string_view op) {
  const auto reduced = reduced_axes(shape, axes, op);
  Index count = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (reduced[static_cast<std::size_t>(d)]) count *= shape[d];
  }
  return count;
}

}  // namespace detail

template <class T, class D>
Tensor<T, D> sum(const Tensor<T, D>& x, const ReduceOptions& options = {}) {
  return detail::reduce(fn::Sum{}, x, options, "sum");
}

template <class T, class D>
Tensor<T, D> mean(const Tensor<T, D>& x, const ReduceOptions& options = {}) {
  return sum(x, options) / detail::reduced_count(x.shape(), options.axes, "mean");
}

// The largest and smallest; NaN if there is one.
template <class T, class D>
Tensor<T, D> max(const Tensor<T, D>& x, const ReduceOptions& options = {}) {
  require<ShapeError>(x.numel() > 0, "max: shape ", x.shape(), " has no elements");
  return detail::reduce(fn::Max{}, x, options, "max");
}
template <class T, class D>
Tensor<T, D> min(const Tensor<T, D>& x, const ReduceOptions& options = {}) {
  require<ShapeError>(x.numel() > 0, "min: shape ", x.shape(), " has no elements");
  return detail::reduce(fn::Min{}, x, options, "min");
}

// Where the largest value along an axis stands (the first of equals), without that axis.
template <class T, class D>
Tensor<std::int64_t, D> argmax(const Tensor<T, D>& x, int axis = -1) {
  const int along = x.shape().axis(axis, "argmax");
  require<ShapeError>(x.size(along) > 0, "argmax: shape ", x.shape(), " is empty along axis ", axis);
  ReduceGeometry g;
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) {
    (d < along ? g.outer : d == along ? g.n : g.inner) *= x.size(d);
    if (d != along) shape.push_back(x.size(d));
  }
  Tensor<std::int64_t, D> y(shape);
  if (y.numel() > 0) Backend<D>::argmax(g, x.data(), y.data());
  return y;
}

// The sum over what broadcasting repeated: from a broadcast shape back to `shape`.
template <class T, class D>
Tensor<T, D> sum_to(const Tensor<T, D>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int missing = x.rank() - shape.rank();
  ReduceOptions options;
  for (int d = 0; d < x.rank(); ++d) {
    if (d < missing || (shape[d - missing] == 1 && x.size(d) != 1)) options.axes.push_back(d);
  }
  if (options.axes.empty()) return x.reshape(shape);
  return sum(x, options).reshape(shape);
}

}  // namespace tenon
