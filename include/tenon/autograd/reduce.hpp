// Differentiable sum, mean, max and min over axes.
#pragma once

#include "tenon/autograd/layout.hpp"

namespace tenon {

namespace detail {

// A reduced tensor with its axes back at extent 1, so that it broadcasts against x.
template <class T, class D>
Tensor<T, D> with_axes(const Tensor<T, D>& y, const Shape& x, const ReduceOptions& options) {
  const auto reduced = reduced_axes(x, options.axes, "reduce");
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) shape.push_back(reduced[static_cast<std::size_t>(d)] ? 1 : x[d]);
  return y.reshape(shape);
}

// The gradient of a maximum or minimum goes to where it was taken, in equal shares.
template <class T, class D>
Var<T, D> extremum(const Var<T, D>& x, const Tensor<T, D>& y, const ReduceOptions& options) {
  return record(y, {x}, [=](const Tensor<T, D>& dy) {
    const auto chosen = equal(x.value(), with_axes(y, x.shape(), options));
    const auto shares = sum(chosen, {options.axes, true});
    x.accumulate(chosen * (with_axes(dy, x.shape(), options) / shares));
  });
}

}  // namespace detail

template <class T, class D> Var<T, D> sum(const Var<T, D>& x, const ReduceOptions& options = {}) {
  return record(sum(x.value(), options), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(broadcast_to(detail::with_axes(dy, x.shape(), options), x.shape()));
  });
}

template <class T, class D> Var<T, D> mean(const Var<T, D>& x, const ReduceOptions& options = {}) {
  return sum(x, options) / detail::reduced_count(x.shape(), options.axes, "mean");
}

template <class T, class D> Var<T, D> max(const Var<T, D>& x, const ReduceOptions& options = {}) {
  return detail::extremum(x, max(x.value(), options), options);
}

template <class T, class D> Var<T, D> min(const Var<T, D>& x, const ReduceOptions& options = {}) {
  return detail::extremum(x, min(x.value(), options), options);
}

}  // namespace tenon
