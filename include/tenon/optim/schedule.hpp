// Learning-rate schedules: pure functions of the step, counted from 0. A step is whatever the caller counts,
// updates or epochs. Resuming needs nothing but the step.
//
//   const auto schedule = chain(LinearWarmup({.lr = 0.1, .steps = 5}), 5, CosineLr({.lr = 0.1, .steps =
//   95})); for (Index epoch = 0; epoch < 100; ++epoch) { opt.set_lr(schedule(epoch)); … }
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "tenon/core/shape.hpp"

namespace tenon {

// Any of them, or any function of yours.
using Schedule = std::function<double(Index)>;

namespace detail {

inline void check_lr(double lr, std::string_view who) {
  require<ValueError>(lr >= 0, who, ": lr is ", lr, ", expected at least 0");
}
inline void check_step(Index step, std::string_view who) {
  require<ValueError>(step >= 0, who, ": step ", step, " is negative");
}
inline void check_steps(Index steps, std::string_view who) {
  require<ValueError>(steps > 0, who, ": steps is ", steps, ", expected at least 1");
}

}  // namespace detail

struct StepLrOptions {
  double lr = 0.1;
  Index every = 30;    // steps from one reduction to the next
  double gamma = 0.1;  // what each multiplies by
};

// lr · gamma^⌊step/every⌋
class StepLr {
 public:
  explicit StepLr(const StepLrOptions& options) : o_(options) {
    detail::check_lr(o_.lr, "StepLr");
    require<ValueError>(o_.every > 0, "StepLr: every is ", o_.every, ", expected at least 1");
  }
  double operator()(Index step) const {
    detail::check_step(step, "StepLr");
    return o_.lr * std::pow(o_.gamma, static_cast<double>(step / o_.every));
  }

 private:
  StepLrOptions o_;
};

struct MultiStepLrOptions {
  double lr = 0.1;
  std::vector<Index> milestones{};  // rising
  double gamma = 0.1;
};

// lr · gamma^(how many milestones are at or before step)
class MultiStepLr {
 public:
  explicit MultiStepLr(const MultiStepLrOptions& options) : o_(options) {
    detail::check_lr(o_.lr, "MultiStepLr");
    require<ValueError>(std::is_sorted(o_.milestones.begin(), o_.milestones.end()),
                        "MultiStepLr: the milestones do not rise");
  }
  double operator()(Index step) const {
    detail::check_step(step, "MultiStepLr");
    const auto passed =
        std::upper_bound(o_.milestones.begin(), o_.milestones.end(), step) - o_.milestones.begin();
    return o_.lr * std::pow(o_.gamma, static_cast<double>(passed));
  }

 private:
  MultiStepLrOptions o_;
};

struct ExponentialLrOptions {
  double lr = 0.1;
  double gamma = 0.95;
};

// lr · gamma^step
class ExponentialLr {
 public:
  explicit ExponentialLr(const ExponentialLrOptions& options) : o_(options) {
    detail::check_lr(o_.lr, "ExponentialLr");
  }
  double operator()(Index step) const {
    detail::check_step(step, "ExponentialLr");
    return o_.lr * std::pow(o_.gamma, static_cast<double>(step));
  }

 private:
  ExponentialLrOptions o_;
};

struct CosineLrOptions {
  double lr = 0.1;
  Index steps = 100;  // from lr down to min_lr; after that it rises again
  double min_lr = 0;
};

// min_lr + (lr - min_lr)·(1 + cos(π·step/steps))/2 (Loshchilov & Hutter 2017, eq. 5, without restarts)
class CosineLr {
 public:
  explicit CosineLr(const CosineLrOptions& options) : o_(options) {
    detail::check_lr(o_.lr, "CosineLr");
    detail::check_steps(o_.steps, "CosineLr");
  }
  double operator()(Index step) const {
    detail::check_step(step, "CosineLr");
    const double angle = std::numbers::pi * static_cast<double>(step) / static_cast<double>(o_.steps);
    return o_.min_lr + (o_.lr - o_.min_lr) * (1 + std::cos(angle)) / 2;
  }

 private:
  CosineLrOptions o_;
};

struct LinearWarmupOptions {
  double lr = 0.1;
  Index steps = 5;                // until lr · end_factor is reached, and kept
  double start_factor = 1.0 / 3;  // lr · start_factor at step 0
  double end_factor = 1;
};

// A straight line between two multiples of lr, then constant.
class LinearWarmup {
 public:
  explicit LinearWarmup(const LinearWarmupOptions& options) : o_(options) {
    detail::check_lr(o_.lr, "LinearWarmup");
    detail::check_steps(o_.steps, "LinearWarmup");
    require<ValueError>(o_.start_factor >= 0 && o_.end_factor >= 0, "LinearWarmup: factors ", o_.start_factor,
                        " and ", o_.end_factor, ", expected at least 0");
  }
  double operator()(Index step) const {
    detail::check_step(step, "LinearWarmup");
    const double part = static_cast<double>(std::min(step, o_.steps)) / static_cast<double>(o_.steps);
    return o_.lr * (o_.start_factor + (o_.end_factor - o_.start_factor) * part);
  }

 private:
  LinearWarmupOptions o_;
};

// `first` before at_step, then `second`, which counts from 0 again.
inline Schedule chain(Schedule first, Index at_step, Schedule second) {
  require<ValueError>(at_step >= 0, "chain: at_step is ", at_step, ", expected at least 0");
  require<ValueError>(first && second, "chain: a schedule is empty");
  return [first = std::move(first), at_step, second = std::move(second)](Index step) {
    return step < at_step ? first(step) : second(step - at_step);
  };
}

}  // namespace tenon
