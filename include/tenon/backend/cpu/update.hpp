// Optimiser updates of one parameter in a single pass over memory; optim/ has the formulas' sources.
#pragma once

#include <cmath>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

template <class T>
void sgd_update(const SgdStep& s, const T* grad, T* velocity, T* param, Index n) {
  parallel_ranges(n, elementwise_grain, [=](Index begin, Index end) {
    const T lr = static_cast<T>(s.lr), momentum = static_cast<T>(s.momentum);
    const T fresh = static_cast<T>(1 - s.dampening), decay = static_cast<T>(s.weight_decay);
    for (Index i = begin; i < end; ++i) {
      T g = grad[i] + decay * param[i];
      if (s.momentum != 0) {
        velocity[i] = s.first ? g : momentum * velocity[i] + fresh * g;
        g = s.nesterov ? g + momentum * velocity[i] : velocity[i];
      }
      param[i] -= lr * g;
    }
  });
}

template <class T>
void adam_update(const AdamStep& s, const T* grad, T* mean, T* square, T* param, Index n) {
  parallel_ranges(n, elementwise_grain, [=](Index begin, Index end) {
    const T beta1 = static_cast<T>(s.beta1), beta2 = static_cast<T>(s.beta2), eps = static_cast<T>(s.eps);
    const T rate = static_cast<T>(s.lr / s.correction1), root = static_cast<T>(std::sqrt(s.correction2));
    const T shrink = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
    const T decay = static_cast<T>(s.decoupled ? 0 : s.weight_decay);
    for (Index i = begin; i < end; ++i) {
      const T g = grad[i] + decay * param[i];
      mean[i] = beta1 * mean[i] + (1 - beta1) * g;
      square[i] = beta2 * square[i] + (1 - beta2) * g * g;
      param[i] = shrink * param[i] - rate * mean[i] / (std::sqrt(square[i]) / root + eps);
    }
  });
}

}  // namespace tenon::cpu
