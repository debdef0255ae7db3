// Layers that run as one operation. The result, the gradients and the table that summary() makes are those of
// the layers called one after the other, up to the rounding of a batch's statistics and of a convolution whose pictures
// are taken a few at a time; the passes over memory are fewer.
#pragma once

#include <concepts>

#include "tenon/autograd/conv_pool.hpp"
#include "tenon/nn/batchnorm.hpp"
#include "tenon/nn/conv.hpp"
#include "tenon/nn/layers.hpp"

namespace tenon::nn {

// relu(norm(x))
template <class T, class D, int Rank>
Var<T, D> norm_relu(BatchNorm<T, D, Rank>& norm, const ReLU& relu, const Var<T, D>& x) {
  observed(norm, x);
  return observed(relu, norm.normalised(x, {.relu = true}));
}

// relu(norm(x) + shortcut()), where shortcut() has x's shape. It is called here so that its layers are seen
// after `norm`, as they would be in `norm(x) + shortcut()`.
template <class T, class D, int Rank, std::invocable Branch>
Var<T, D> norm_add_relu(BatchNorm<T, D, Rank>& norm, const ReLU& relu, const Var<T, D>& x,
                        Branch&& shortcut) {
  observed(norm, x);
  return observed(relu, norm.normalised(x, {.residual = shortcut(), .relu = true}));
}

// The same for a shortcut that is there already.
template <class T, class D, int Rank>
Var<T, D> norm_add_relu(BatchNorm<T, D, Rank>& norm, const ReLU& relu, const Var<T, D>& x,
                        const Var<T, D>& shortcut) {
  return norm_add_relu(norm, relu, x, [&] { return shortcut; });
}

namespace detail {

// norm(conv(x)) and what comes after it. In training the convolution gathers the statistics of its result. Of a
// normalisation that is folded into the convolution nothing is left: all is one pass then.
template <class T, class D>
Var<T, D> conv_norm(const Conv2d<T, D>& conv, BatchNorm2d<T, D>& norm, const Var<T, D>& x,
                    AfterNorm<T, D> after = {}) {
  if (norm.folded) return conv.convolved(x, {.residual = std::move(after.residual), .relu = after.relu});
  BatchStatistics<T, D> known;
  const auto y = conv.convolved(x, {.statistics = norm.training ? &known : nullptr});
  return norm.normalised(y, after, known);
}

}  // namespace detail

// norm(conv(x))
template <class T, class D>
Var<T, D> conv_norm(const Conv2d<T, D>& conv, BatchNorm2d<T, D>& norm, const Var<T, D>& x) {
  return detail::observer ? norm(conv(x)) : detail::conv_norm(conv, norm, x);
}

// relu(norm(conv(x)))
template <class T, class D>
Var<T, D> conv_norm_relu(const Conv2d<T, D>& conv, BatchNorm2d<T, D>& norm, const ReLU& relu,
                         const Var<T, D>& x) {
  if (detail::observer) return norm_relu(norm, relu, conv(x));
  return detail::conv_norm(conv, norm, x, {.relu = true});
}

// relu(norm(conv(x)) + shortcut()). What shortcut() hands over, by std::move, may become the result.
template <class T, class D, std::invocable Branch>
Var<T, D> conv_norm_add_relu(const Conv2d<T, D>& conv, BatchNorm2d<T, D>& norm, const ReLU& relu,
                             const Var<T, D>& x, Branch&& shortcut) {
  if (detail::observer) return norm_add_relu(norm, relu, conv(x), shortcut);
  return detail::conv_norm(conv, norm, x, {.residual = shortcut(), .relu = true});
}

// pool(relu(norm(conv(x))))
template <class T, class D>
Var<T, D> conv_norm_relu_pool(const Conv2d<T, D>& conv, BatchNorm2d<T, D>& norm, const ReLU& relu,
                              const MaxPool2d& pool, const Var<T, D>& x) {
  if (detail::observer || !norm.folded) return pool(conv_norm_relu(conv, norm, relu, x));
  return conv2d_relu_max_pool2d(x, conv.weight, conv.bias, conv.geometry, pool.window);
}

// pool(relu(conv(x)))
template <class T, class D>
Var<T, D> conv_relu_pool(const Conv2d<T, D>& conv, const ReLU& relu, const MaxPool2d& pool,
                         const Var<T, D>& x) {
  if (detail::observer)
    return pool(relu(conv(x)));  // whoever looks at the layers sees what each of them gives
  return conv2d_relu_max_pool2d(x, conv.weight, conv.bias, conv.geometry, pool.window);
}

}  // namespace tenon::nn
