// Optimiser updates of all parameters in a single pass over memory; optim/ has the formulas' sources.
#pragma once

#include <cmath>
#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

namespace detail {

// body(update, begin, end) over the numbers of all parameters, laid end to end and cut into pieces of equal
// length: a network has many small parameters, and a loop over each would leave threads idle.
template <class Update, class Body>
void each_update(const std::vector<Update>& updates, const Body& body) {
  std::vector<Index> starts;
  Index total = 0;
  for (const Update& u : updates) {
    starts.push_back(total);
    total += u.n;
  }
  parallel_ranges(total, elementwise_grain, [&](Index begin, Index end) {
    auto k =
        static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin()) - 1;
    for (; k < updates.size() && starts[k] < end; ++k) {
      body(updates[k], std::max<Index>(0, begin - starts[k]), std::min(updates[k].n, end - starts[k]));
    }
  });
}

}  // namespace detail

template <class T>
void sgd_update(const std::vector<SgdUpdate<T>>& updates) {
  detail::each_update(updates, [](const SgdUpdate<T>& u, Index begin, Index end) {
    const SgdStep& s = u.step;
    const T* grad = u.grad;
    T *velocity = u.velocity, *param = u.param;
    const T lr = static_cast<T>(s.lr), momentum = static_cast<T>(s.momentum);
    const T fresh = static_cast<T>(1 - s.dampening), decay = static_cast<T>(s.weight_decay);
    const bool with_momentum = s.momentum != 0, first = s.first, nesterov = s.nesterov;
    for (Index i = begin; i < end; ++i) {
      T g = grad[i] + decay * param[i];
      if (with_momentum) {
        velocity[i] = first ? g : momentum * velocity[i] + fresh * g;
        g = nesterov ? g + momentum * velocity[i] : velocity[i];
      }
      param[i] -= lr * g;
    }
  });
}

template <class T>
void adam_update(const std::vector<AdamUpdate<T>>& updates) {
  detail::each_update(updates, [](const AdamUpdate<T>& u, Index begin, Index end) {
    const AdamStep& s = u.step;
    const T* grad = u.grad;
    T *mean = u.mean, *square = u.square, *param = u.param;
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
