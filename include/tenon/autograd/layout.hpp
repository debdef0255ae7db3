// Differentiable moves: reshape, permute, slice, concatenate, pad, and reductions and products of matrices.
#pragma once

#include "tenon/autograd/arithmetic.hpp"
#include "tenon/tensor/layout.hpp"

namespace tenon {

template <class T, class D> Var<T, D> reshape(const Var<T, D>& x, const Shape& shape) {
  return record(x.value().reshape(shape), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy.reshape(x.shape())); });
}
template <class T, class D> Var<T, D> reshape(const Var<T, D>& x, std::initializer_list<Index> extents) {
  return reshape(x, x.value().reshape(extents).shape());
}

// All dimensions from `first` on become one: (N,H,W,C) -> (N,H·W·C).
template <class T, class D> Var<T, D> flatten(const Var<T, D>& x, int first = 1) {
  const int from = x.shape().axis(first, "flatten");
  Shape shape;
  Index rest = 1;
  for (int d = 0; d < x.rank(); ++d) {
    if (d < from) shape.push_back(x.size(d));
    else rest *= x.size(d);
  }
  shape.push_back(rest);
  return reshape(x, shape);
}

template <class T, class D> Var<T, D> permute(const Var<T, D>& x, const std::vector<int>& axes) {
  return record(permute(x.value(), axes), {x}, [=](const Tensor<T, D>& dy) {
    std::vector<int> back(axes.size());
    for (std::size_t d = 0; d < axes.size(); ++d) {
      back[static_cast<std::size_t>(x.shape().axis(axes[d], "permute"))] = static_cast<int>(d);
    }
    x.accumulate(permute(dy, back));
  });
}

// The last two dimensions exchanged.
template <class T, class D> Var<T, D> transpose(const Var<T, D>& x) {
  return record(transpose(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(transpose(dy)); });
}

template <class T, class D> Var<T, D> pad(const Var<T, D>& x, const std::vector<Padding>& padding, double value = 0) {
  return record(pad(x.value(), padding, value), {x}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx = dy;
    for (int d = 0; d < x.rank(); ++d) {
      const Index begin = padding[static_cast<std::size_t>(d)].before;
      if (dx.size(d) != x.size(d)) dx = slice(dx, d, {begin, begin + x.size(d)});
    }
    x.accumulate(dx);
  });
}

// Positions begin … end-1 along an axis; negative positions count from the end.
template <class T, class D> Var<T, D> slice(const Var<T, D>& x, int axis, SliceRange range) {
  const auto y = slice(x.value(), axis, range);
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    const int d = x.shape().axis(axis, "slice");
    const Index begin = range.begin < 0 ? range.begin + x.size(d) : range.begin;
    std::vector<Padding> padding(static_cast<std::size_t>(x.rank()));
    padding[static_cast<std::size_t>(d)] = {begin, x.size(d) - begin - dy.size(d)};
    x.accumulate(pad(dy, padding));
  });
}

template <class T, class D> Var<T, D> concat(const std::vector<Var<T, D>>& xs, int axis = 0) {
  std::vector<Tensor<T, D>> values;
  for (const auto& x : xs) values.push_back(x.value());
  return record(concat(values, axis), xs, [=](const Tensor<T, D>& dy) {
    Index at = 0;
    for (const auto& x : xs) {
      const Index extent = x.size(axis);
      if (x.requires_grad()) x.accumulate(slice(dy, axis, {at, at + extent}));
      at += extent;
    }
  });
}

template <class T, class D> Var<T, D> broadcast_to(const Var<T, D>& x, const Shape& shape) {
  return record(broadcast_to(x.value(), shape), {x},
                [=](const Tensor<T, D>& dy) { x.accumulate(sum_to(dy, x.shape())); });
}

}  // namespace tenon
