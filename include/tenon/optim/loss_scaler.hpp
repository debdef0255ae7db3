// Dynamic loss scaling for 16-bit gradients (Micikevicius et al. 2018): multiply the loss, so that small
// gradients do not round to zero, and divide again in float before the step. The scale falls when a gradient
// overflows, and that step is left out; it rises after a long run without.
//
//   scaler.scale(loss).backward();
//   scaler.step(opt);
#pragma once

#include <cmath>
#include <vector>

#include "tenon/autograd/arithmetic.hpp"
#include "tenon/optim/parameters.hpp"
#include "tenon/tensor/layout.hpp"
#include "tenon/tensor/reduce.hpp"

namespace tenon {

struct LossScalerOptions {
  double scale = 65536;  // to begin with
  double growth = 2, backoff = 0.5;
  Index interval = 2000;  // good steps before the scale grows
};

class LossScaler {
 public:
  explicit LossScaler(const LossScalerOptions& options = {}) : o_(options), scale_(options.scale) {
    require<ValueError>(o_.scale > 0 && o_.growth >= 1 && o_.backoff > 0 && o_.backoff < 1 && o_.interval > 0,
                        "LossScaler: scale ", o_.scale, ", growth ", o_.growth, ", backoff ", o_.backoff,
                        ", interval ", o_.interval,
                        "; expected scale > 0, growth >= 1, 0 < backoff < 1, interval > 0");
  }

  // The factor now on the gradients: to clip at a norm of n, clip_grad_norm(params, n * current()).
  double current() const { return scale_; }

  // The loss times the scale, in float or wider: 16 bits could not hold the product.
  template <class T, class D>
  auto scale(const Var<T, D>& loss) const {
    if constexpr (std::same_as<T, Wide<T>>)
      return loss * scale_;
    else
      return cast<Wide<T>>(loss) * scale_;
  }

  // Steps the optimiser if all gradients are finite, and adapts the scale. Returns whether it stepped.
  template <class Optimiser>
  bool step(Optimiser& optimiser) {
    if (!finite(optimiser.parameters())) {
      scale_ *= o_.backoff;
      good_ = 0;
      return false;
    }
    optimiser.set_grad_scale(scale_);
    optimiser.step();
    optimiser.set_grad_scale(1);
    if (++good_ == o_.interval) {
      scale_ *= o_.growth;
      good_ = 0;
    }
    return true;
  }

  // Visits everything a checkpoint needs.
  void state(auto&& visit) {
    visit("scale", scale_);
    visit("good", good_);
  }

 private:
  template <class T, class D>
  static bool finite(const std::vector<Var<T, D>>& params) {
    std::vector<Tensor<T, D>> largest;  // of each gradient, by magnitude; NaN if there is one
    for (const auto& p : params) {
      if (p.grad().defined() && p.numel() > 0) largest.push_back(max(abs(p.grad())).reshape({1}));
    }
    if (largest.empty()) return true;
    for (const T value : concat(largest).to_vector()) {
      if (!std::isfinite(static_cast<double>(value))) return false;
    }
    return true;
  }

  LossScalerOptions o_;
  double scale_;
  Index good_ = 0;
};

}  // namespace tenon
