// Initial values of weights. Drawn on the host, so that a model starts the same on every device.
#pragma once

#include <cmath>

#include "tenon/autograd/var.hpp"

namespace tenon::nn {

// The inputs and outputs that meet in one weight tensor: linear (out,in), convolution (O,KH,KW,C/groups).
struct Fans {
  Index in, out;
};

inline Fans fans(const Shape& weight) {
  require<ShapeError>(weight.rank() == 2 || weight.rank() == 4, "fans: weight ", weight,
                      ", expected (out,in) or (O,KH,KW,C)");
  if (weight.rank() == 2) return {weight[1], weight[0]};
  const Index field = weight[1] * weight[2];
  return {field * weight[3], field * weight[0]};
}

// A trainable leaf with values uniform in [-bound, bound).
template <class T, class D>
Var<T, D> uniform_parameter(const Shape& shape, double bound, Rng& rng) {
  return {Tensor<T, Cpu>::uniform(shape, rng, -bound, bound).template to<D>(), {.requires_grad = true}};
}

template <class T, class D>
Var<T, D> constant_parameter(const Shape& shape, double value) {
  return {Tensor<T, D>::full(shape, static_cast<T>(value)), {.requires_grad = true}};
}

// PyTorch's default for Linear and Conv2d, weights and biases alike: uniform within 1/√fan_in.
inline double default_bound(Index fan_in) { return 1.0 / std::sqrt(static_cast<double>(std::max<Index>(fan_in, 1))); }

// He et al. 2015, eq. 10: variance 2/fan_in keeps the signal's size through ReLUs.
template <class T, class D>
void kaiming_normal_(Var<T, D>& weight, Rng& rng) {
  const double deviation = std::sqrt(2.0 / static_cast<double>(fans(weight.shape()).in));
  weight.value() = (Tensor<T, Cpu>::normal(weight.shape(), rng) * deviation).template to<D>();
}
template <class T, class D>
void kaiming_uniform_(Var<T, D>& weight, Rng& rng) {
  const double bound = std::sqrt(6.0 / static_cast<double>(fans(weight.shape()).in));
  weight.value() = Tensor<T, Cpu>::uniform(weight.shape(), rng, -bound, bound).template to<D>();
}

// Glorot & Bengio 2010, eq. 16: variance 2/(fan_in + fan_out).
template <class T, class D>
void xavier_normal_(Var<T, D>& weight, Rng& rng) {
  const Fans f = fans(weight.shape());
  const double deviation = std::sqrt(2.0 / static_cast<double>(f.in + f.out));
  weight.value() = (Tensor<T, Cpu>::normal(weight.shape(), rng) * deviation).template to<D>();
}
template <class T, class D>
void xavier_uniform_(Var<T, D>& weight, Rng& rng) {
  const Fans f = fans(weight.shape());
  const double bound = std::sqrt(6.0 / static_cast<double>(f.in + f.out));
  weight.value() = Tensor<T, Cpu>::uniform(weight.shape(), rng, -bound, bound).template to<D>();
}

}  // namespace tenon::nn
