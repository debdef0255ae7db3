// Differentiable batch normalisation over the last axis (Ioffe & Szegedy 2015), with PyTorch's conventions: the
// batch is normalised by its biased variance, the running variance is the unbiased one, and
// running = (1 - momentum)·running + momentum·batch.
#pragma once

#include "tenon/autograd/arithmetic.hpp"

namespace tenon {

struct BatchNormParameters {
  double momentum = 0.1;
  double eps = 1e-5;
};

namespace detail {

// Rows of x, after checking that everything else has one value a channel.
template <class T, class D>
Index batch_norm_rows(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta, const Tensor<T, D>& mean,
                      const Tensor<T, D>& var) {
  for (const Shape& s : {gamma.shape(), beta.shape(), mean.shape(), var.shape()}) {
    require<ShapeError>(s == gamma.shape() && s.rank() == 1 && s[0] > 0,
                        "batch_norm: scale, shift and running statistics must share a shape (C), got ", s, " beside ",
                        gamma.shape());
  }
  require<ShapeError>(x.rank() >= 2 && x.size(-1) == gamma.numel(), "batch_norm: x ", x.shape(), " has ",
                      x.rank() ? x.size(-1) : 1, " channels, the layer was made for ", gamma.numel());
  return x.numel() / gamma.numel();
}

}  // namespace detail

// Training: normalises x (…,C) by its own statistics and moves the running ones, which must have shape (C).
template <class T, class D>
Var<T, D> batch_norm_train(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta,
                           Tensor<T, D>& running_mean, Tensor<T, D>& running_var, const BatchNormParameters& p) {
  const Index c = gamma.numel(), rows = detail::batch_norm_rows(x, gamma, beta, running_mean, running_var);
  require<ShapeError>(rows > 1, "batch_norm: x ", x.shape(),
                      " has one value a channel; training needs more than one (evaluate, or use larger batches)");
  Tensor<T, D> y(x.shape()), mean({c}), inv_std({c}), variance({c});
  Backend<D>::batch_norm_forward_train(rows, c, p.eps, x.value().data(), gamma.value().data(), beta.value().data(),
                                       y.data(), mean.data(), inv_std.data(), variance.data());
  const double unbiased = static_cast<double>(rows) / static_cast<double>(rows - 1);
  running_mean = running_mean * (1 - p.momentum) + mean * p.momentum;
  running_var = running_var * (1 - p.momentum) + variance * (p.momentum * unbiased);
  return record(y, {x, gamma, beta}, [=](const Tensor<T, D>& dy) {
    Tensor<T, D> dx(x.shape()), dgamma({c}), dbeta({c});
    Backend<D>::batch_norm_backward(rows, c, x.value().data(), dy.data(), mean.data(), inv_std.data(),
                                    gamma.value().data(), dx.data(), dgamma.data(), dbeta.data());
    x.accumulate(dx);
    gamma.accumulate(dgamma);
    beta.accumulate(dbeta);
  });
}

// Evaluation: normalises by the running statistics, which are constants.
template <class T, class D>
Var<T, D> batch_norm_eval(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta,
                          const Tensor<T, D>& running_mean, const Tensor<T, D>& running_var,
                          const BatchNormParameters& p) {
  const Index c = gamma.numel(), rows = detail::batch_norm_rows(x, gamma, beta, running_mean, running_var);
  const auto inv_std = 1 / sqrt(running_var + p.eps);
  Tensor<T, D> y(x.shape());
  Backend<D>::batch_norm_apply(rows, c, x.value().data(), running_mean.data(), inv_std.data(), gamma.value().data(),
                               beta.value().data(), y.data());
  return record(y, {x, gamma, beta}, [=](const Tensor<T, D>& dy) {
    if (x.requires_grad()) x.accumulate(dy * (gamma.value() * inv_std));
    if (gamma.requires_grad()) gamma.accumulate(sum_to(dy * ((x.value() - running_mean) * inv_std), gamma.shape()));
    beta.accumulate(sum_to(dy, beta.shape()));
  });
}

}  // namespace tenon
