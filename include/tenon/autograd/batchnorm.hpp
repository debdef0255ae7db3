// Differentiable batch normalisation over the last axis (Ioffe & Szegedy 2015), with PyTorch's conventions:
// the batch is normalised by its biased variance, the running variance is the unbiased one, and running = (1
// - momentum)·running + momentum·batch.
//
// What a residual network does next, adding a shortcut and rectifying, can be part of the operation: the
// passes over memory are then shared, and only x and the result are kept for backward.
#pragma once

#include "tenon/autograd/arithmetic.hpp"
#include "tenon/autograd/statistics.hpp"

namespace tenon {

struct BatchNormParameters {
  double momentum = 0.1;
  double eps = 1e-5;
};

// y = relu(normalised + residual), each where asked for.
template <class T, class D>
struct AfterNorm {
  Var<T, D> residual{};  // of x's shape
  bool relu = false;
};

namespace detail {

// Rows of x, after checking that everything else has one value a channel.
template <class T, class D>
Index batch_norm_rows(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta,
                      const Tensor<T, D>& mean, const Tensor<T, D>& var) {
  for (const Shape& s : {gamma.shape(), beta.shape(), mean.shape(), var.shape()}) {
    require<ShapeError>(s == gamma.shape() && s.rank() == 1 && s[0] > 0,
                        "batch_norm: scale, shift and running statistics must share a shape (C), got ", s,
                        " beside ", gamma.shape());
  }
  require<ShapeError>(x.rank() >= 2 && x.size(-1) == gamma.numel(), "batch_norm: x ", x.shape(), " has ",
                      x.rank() ? x.size(-1) : 1, " channels, the layer was made for ", gamma.numel());
  return x.numel() / gamma.numel();
}

template <class T, class D>
BatchNormGeometry batch_norm_geometry(const Var<T, D>& x, Index rows, const AfterNorm<T, D>& after) {
  const bool residual = after.residual.defined();
  require<ShapeError>(!residual || after.residual.shape() == x.shape(), "batch_norm: residual ",
                      residual ? after.residual.shape() : Shape{}, " for x ", x.shape());
  return {.rows = rows, .c = x.size(-1), .residual = residual, .relu = after.relu};
}

}  // namespace detail

// Training: normalises x (…,C) by its own statistics and moves the running ones, which must have shape (C). `known`
// are x's own, where somebody has worked them out already.
template <class T, class D>
Var<T, D> batch_norm_train(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta,
                           Tensor<T, D>& running_mean, Tensor<T, D>& running_var,
                           const BatchNormParameters& p,
                           const std::type_identity_t<AfterNorm<T, D>>& after = {},
                           const std::type_identity_t<BatchStatistics<T, D>>& known = {}) {
  const Index c = gamma.numel(), rows = detail::batch_norm_rows(x, gamma, beta, running_mean, running_var);
  require<ShapeError>(
      rows > 1, "batch_norm: x ", x.shape(),
      " has one value a channel; training needs more than one (evaluate, or use larger batches)");
  const auto g = detail::batch_norm_geometry(x, rows, after);
  const Var<T, D> residual = after.residual;
  Tensor<T, D> y(x.shape()), mean = known.mean, variance = known.variance, inv_std;
  const T* more = g.residual ? residual.value().data() : nullptr;
  if (mean.defined()) {
    inv_std = 1 / sqrt(variance + p.eps);
    Backend<D>::batch_norm_apply(g, x.value().data(), std::as_const(mean).data(), inv_std.data(), gamma.value().data(),
                                 beta.value().data(), more, y.data());
  } else {
    mean = Tensor<T, D>({c}), variance = Tensor<T, D>({c}), inv_std = Tensor<T, D>({c});
    Backend<D>::batch_norm_forward_train(g, p.eps, x.value().data(), gamma.value().data(), beta.value().data(), more,
                                         y.data(), mean.data(), inv_std.data(), variance.data());
  }
  const double unbiased = static_cast<double>(rows) / static_cast<double>(rows - 1);
  running_mean = running_mean * (1 - p.momentum) + mean * p.momentum;
  running_var = running_var * (1 - p.momentum) + variance * (p.momentum * unbiased);
  return record(y, {x, gamma, beta, residual}, [=, kept = g.relu ? y : Tensor<T, D>()](Tensor<T, D> dy) {
    // dy's elements become dresidual's or dx's where nobody else holds them.
    const T* incoming = std::as_const(dy).data();
    const bool own = dy.unique(), wanted = residual.requires_grad();
    Tensor<T, D> dx, dresidual;
    if (g.relu && wanted) dresidual = own ? dy : Tensor<T, D>(x.shape());
    dx = own && !wanted ? dy : Tensor<T, D>(x.shape());
    Tensor<T, D> dgamma({c}), dbeta({c});
    Backend<D>::batch_norm_backward(g, x.value().data(), incoming, kept.data(), mean.data(), inv_std.data(),
                                    gamma.value().data(), beta.value().data(), dx.data(), dresidual.data(),
                                    dgamma.data(), dbeta.data());
    if (!g.relu && wanted) dresidual = std::move(dy);
    dy = {};
    if (wanted) residual.accumulate(std::move(dresidual));
    x.accumulate(std::move(dx));
    gamma.accumulate(std::move(dgamma));
    beta.accumulate(std::move(dbeta));
  });
}

// Evaluation: normalises by the running statistics, which are constants.
template <class T, class D>
Var<T, D> batch_norm_eval(const Var<T, D>& x, const Var<T, D>& gamma, const Var<T, D>& beta,
                          const Tensor<T, D>& running_mean, const Tensor<T, D>& running_var,
                          const BatchNormParameters& p,
                          const std::type_identity_t<AfterNorm<T, D>>& after = {}) {
  const auto g = detail::batch_norm_geometry(
      x, detail::batch_norm_rows(x, gamma, beta, running_mean, running_var), after);
  const Var<T, D> residual = after.residual;
  const auto inv_std = 1 / sqrt(running_var + p.eps);
  Tensor<T, D> y(x.shape());
  Backend<D>::batch_norm_apply(g, x.value().data(), running_mean.data(), inv_std.data(), gamma.value().data(),
                               beta.value().data(), g.residual ? residual.value().data() : nullptr, y.data());
  return record(y, {x, gamma, beta, residual},
                [=, kept = g.relu ? y : Tensor<T, D>()](const Tensor<T, D>& incoming) {
                  const auto dy = g.relu ? zip(fn::ReluGrad{}, incoming, kept, "batch_norm") : incoming;
                  if (residual.requires_grad()) residual.accumulate(dy);
                  if (x.requires_grad()) x.accumulate(dy * (gamma.value() * inv_std));
                  if (gamma.requires_grad())
                    gamma.accumulate(sum_to(dy * ((x.value() - running_mean) * inv_std), gamma.shape()));
                  if (beta.requires_grad()) beta.accumulate(sum_to(dy, beta.shape()));
                });
}

}  // namespace tenon
