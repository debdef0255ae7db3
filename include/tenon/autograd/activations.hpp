// Differentiable activation functions, softmax and dropout.
#pragma once

#include "tenon/autograd/layout.hpp"

namespace tenon {

template <class T, class D> Var<T, D> relu(const Var<T, D>& x) {
  const auto y = relu(x.value());
  return record(y, {x}, [=](Tensor<T, D> dy) {
    if (!dy.unique()) return x.accumulate(zip(fn::ReluGrad{}, dy, y, "relu"));
    zip_(fn::ReluGrad{}, dy, y, "relu");
    x.accumulate(std::move(dy));
  });
}

template <class T, class D> Var<T, D> leaky_relu(const Var<T, D>& x, double slope = 0.01) {
  return record(map(fn::LeakyRelu{slope}, x.value()), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(zip(fn::LeakyReluGrad{slope}, dy, x.value(), "leaky_relu"));
  });
}

template <class T, class D> Var<T, D> sigmoid(const Var<T, D>& x) {
  const auto y = sigmoid(x.value());
  return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(zip(fn::SigmoidGrad{}, dy, y, "sigmoid")); });
}

template <class T, class D> Var<T, D> tanh(const Var<T, D>& x) {
  const auto y = tanh(x.value());
  return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(zip(fn::TanhGrad{}, dy, y, "tanh")); });
}

// log(1 + e^x)
template <class T, class D> Var<T, D> softplus(const Var<T, D>& x) {
  return record(softplus(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * sigmoid(x.value())); });
}

// Which form of the Gaussian error linear unit: with the error function, or its approximation by tanh.
enum class GeluForm { erf, tanh };

template <class T, class D> Var<T, D> gelu(const Var<T, D>& x, GeluForm form = GeluForm::erf) {
  if (form == GeluForm::tanh) {
    return record(map(fn::GeluTanh{}, x.value()), {x}, [=](const Tensor<T, D>& dy) {
      x.accumulate(zip(fn::GeluTanhGrad{}, dy, x.value(), "gelu"));
    });
  }
  return record(map(fn::Gelu{}, x.value()), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(zip(fn::GeluGrad{}, dy, x.value(), "gelu"));
  });
}

// x·sigmoid(x), also called swish (Elfwing et al. 2017; Ramachandran et al. 2017).
template <class T, class D> Var<T, D> silu(const Var<T, D>& x) {
  return record(map(fn::Silu{}, x.value()), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(zip(fn::SiluGrad{}, dy, x.value(), "silu"));
  });
}

namespace detail {

// Rows and columns of the last axis.
inline std::pair<Index, Index> rows_of(const Shape& shape, std::string_view op) {
  require<ShapeError>(shape.rank() >= 1 && shape[-1] > 0, op, ": shape ", shape, " has no last axis to run along");
  return {shape.numel() / shape[-1], shape[-1]};
}

// The order of axes that exchanges `axis` and the last; empty if they are the same.
inline std::vector<int> axis_last(const Shape& shape, int axis, std::string_view op) {
  const int d = shape.axis(axis, op);
  if (d == shape.rank() - 1) return {};
  std::vector<int> axes;
  for (int i = 0; i < shape.rank(); ++i) axes.push_back(i);
  std::swap(axes[static_cast<std::size_t>(d)], axes.back());
  return axes;
}

}  // namespace detail

// exp(x) over its sum along an axis.
template <class T, class D> Var<T, D> softmax(const Var<T, D>& x, int axis = -1) {
  if (const auto axes = detail::axis_last(x.shape(), axis, "softmax"); !axes.empty()) {
    return permute(softmax(permute(x, axes)), axes);
  }
  const auto [rows, columns] = detail::rows_of(x.shape(), "softmax");
  Tensor<T, D> y(x.shape());
  Backend<D>::softmax_forward(rows, columns, x.value().data(), y.data());
  return record(y, {x}, [=, r = rows, c = columns](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::softmax_backward(r, c, y.data(), dy.data(), dx.data());
    x.accumulate(dx);
  });
}

template <class T, class D> Var<T, D> log_softmax(const Var<T, D>& x, int axis = -1) {
  if (const auto axes = detail::axis_last(x.shape(), axis, "log_softmax"); !axes.empty()) {
    return permute(log_softmax(permute(x, axes)), axes);
  }
  const auto [rows, columns] = detail::rows_of(x.shape(), "log_softmax");
  Tensor<T, D> y(x.shape());
  Backend<D>::log_softmax_forward(rows, columns, x.value().data(), y.data());
  return record(y, {x}, [=, r = rows, c = columns](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape());
    Backend<D>::log_softmax_backward(r, c, y.data(), dy.data(), dx.data());
    x.accumulate(dx);
  });
}

// Zeroes each element with the given probability and scales the others by 1/(1 - probability), so that the
// expected value stays (Srivastava et al. 2014). Draws from rng.
template <class T, class D> Var<T, D> dropout(const Var<T, D>& x, double probability, Rng& rng) {
  require<ValueError>(probability >= 0 && probability < 1, "dropout: probability is ", probability,
                      ", expected 0 <= p < 1");
  Tensor<T, D> mask(x.shape());
  const double keep = 1 - probability;
  const RngState state = rng.state();
  Backend<D>::random_bernoulli(state, rng.reserve_blocks(mask.numel()), keep, 1 / keep, mask.data(), mask.numel());
  return x * mask;
}

}  // namespace tenon
