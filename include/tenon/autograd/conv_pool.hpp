// Convolution, ReLU and maximum pooling as one differentiable operation: what a small network's layers begin
// with.
#pragma once

#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/pool.hpp"

namespace tenon {

// max_pool2d(relu(conv2d(x, weight, bias, conv)), pool). Where the backend has it as one pass (few channels,
// a batch of sixteen or more, windows of 2×2), nothing but x and a byte a result is kept for the backward
// pass. Where no gradient is wanted, the convolution's result exists for a few pictures at a time.
template <class T, class D>
Var<T, D> conv2d_relu_max_pool2d(const Var<T, D>& x, const Var<T, D>& weight, const Var<T, D>& bias,
                                 const Conv2dParameters& conv, const Pool2dParameters& pool) {
  const auto g = detail::conv2d_geometry(x.shape(), weight.shape(), conv);
  detail::check_conv2d_bias(bias, weight, g);
  const auto p = detail::pool2d_geometry({g.n, g.oh, g.ow, g.o}, pool, "max_pool2d");
  const T* added = bias.defined() ? bias.value().data() : nullptr;
  if constexpr (requires { Backend<D>::conv_pool_fits(g, p); }) {
    if (Backend<D>::conv_pool_fits(g, p)) {
      Tensor<T, D> y({p.n, p.oh, p.ow, p.c});
      Tensor<std::uint8_t, D> codes({Backend<D>::conv_pool_codes(g, p)});
      Backend<D>::conv_pool_forward(g, p, x.value().data(), weight.value().data(), added, y.data(), codes.data());
      return record(std::move(y), {x, weight, bias}, [=](const Tensor<T, D>& dy) {
        Tensor<T, D> dx, dw(weight.shape()), dbias;
        if (x.requires_grad()) dx = Tensor<T, D>(x.shape());
        if (bias.requires_grad()) dbias = Tensor<T, D>(bias.shape());
        Backend<D>::conv_pool_backward(g, p, x.value().data(), weight.value().data(), dy.data(), codes.data(),
                                       x.requires_grad() ? dx.data() : nullptr, dw.data(),
                                       bias.requires_grad() ? dbias.data() : nullptr);
        if (x.requires_grad()) x.accumulate(std::move(dx));
        weight.accumulate(std::move(dw));
        if (bias.requires_grad()) bias.accumulate(std::move(dbias));
      });
    }
  }
  if constexpr (requires(T* y) { Backend<D>::conv2d_relu_max_pool2d(g, p, y, y, weight.value().derived(), y, y); }) {
    if (!is_recorded<T, D>({x, weight, bias})) {
      Tensor<T, D> y({p.n, p.oh, p.ow, p.c});
      auto* forms = conv.keep_prepared ? weight.value().derived() : nullptr;
      Backend<D>::conv2d_relu_max_pool2d(g, p, x.value().data(), weight.value().data(), forms, added, y.data());
      return Var<T, D>(std::move(y));
    }
  }
  return max_pool2d(conv2d(x, weight, bias, conv, {.relu = true}), pool);
}

}  // namespace tenon
