// An exponential moving average of the parameters, often better than the last of them (Polyak & Juditsky
// 1992):
//
//   average = decay·average + (1 - decay)·parameter,  starting as the parameter at the first update
//
//   WeightAverage average(parameters, {.decay = 0.999});
//   … opt.step(); average.update(); …
//   { const AverageScope scope(average); evaluate(model); }
//
// Only parameters are averaged. The running statistics of batch normalisation belong to the weights they were
// measured with; measure them again under the averaged weights where that matters.
#pragma once

#include <utility>
#include <vector>

#include "tenon/autograd/var.hpp"

namespace tenon {

struct WeightAverageOptions {
  double decay = 0.999;
};

template <class T, class D = Cpu>
class WeightAverage {
  using W = Wide<T>;

 public:
  WeightAverage(const std::vector<Var<T, D>>& params, const WeightAverageOptions& options)
      : params_(params), options_(options) {
    require<ValueError>(options.decay >= 0 && options.decay <= 1, "WeightAverage: decay is ", options.decay,
                        ", expected 0 to 1");
    require<ValueError>(!params.empty(), "WeightAverage: the list of parameters is empty");
    for (const auto& p : params_) averages_.push_back(p.value().clone().template cast<W>());
  }

  // Takes in the parameters as they are now.
  void update() {
    require<ValueError>(kept_.empty(),
                        "WeightAverage: update while the averages stand in for the parameters");
    for (std::size_t i = 0; i < params_.size(); ++i) {
      const auto now = params_[i].value().template cast<W>();
      auto& average = averages_[i];
      if (updates_ == 0)
        average.copy_(now);
      else
        average.copy_(average + (now - average) * (1 - options_.decay));
    }
    ++updates_;
  }

  // How many updates there were.
  Index updates() const { return updates_; }

  // The averages, in the order of the parameters.
  const std::vector<Tensor<W, D>>& averages() const { return averages_; }

  // Puts the averages in place of the parameters; a second call brings the parameters back.
  void swap() {
    const auto kept = std::exchange(kept_, {});
    for (std::size_t i = 0; i < params_.size(); ++i) {
      auto& value = params_[i].value();
      if (!kept.empty()) {
        value.copy_(kept[i]);
        continue;
      }
      kept_.push_back(value.clone());
      value.copy_(averages_[i].template cast<T>());
    }
  }

  // Visits everything a checkpoint needs: visit(name, x), x a Tensor& or Index&.
  void state(auto&& visit) {
    visit("updates", updates_);
    for (std::size_t i = 0; i < averages_.size(); ++i) visit(text("average.", i), averages_[i]);
  }

 private:
  std::vector<Var<T, D>> params_;
  std::vector<Tensor<W, D>> averages_;
  WeightAverageOptions options_;
  std::vector<Tensor<T, D>> kept_;  // the parameters, while their averages stand in for them
  Index updates_ = 0;
};

// While it lives, the parameters hold their averages.
template <class T, class D = Cpu>
class AverageScope {
 public:
  explicit AverageScope(WeightAverage<T, D>& average) : average_(average) { average_.swap(); }
  ~AverageScope() { average_.swap(); }
  AverageScope(const AverageScope&) = delete;
  AverageScope& operator=(const AverageScope&) = delete;

 private:
  WeightAverage<T, D>& average_;
};

}  // namespace tenon
