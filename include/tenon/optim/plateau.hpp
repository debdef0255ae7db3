// Lowers the learning rate when a metric stops improving. Unlike the other schedules it remembers what it
// saw, so a checkpoint must hold its state.
//
//   ReduceOnPlateau plateau({.lr = 0.1, .factor = 0.6, .patience = 2});
//   opt.set_lr(plateau.update(validation_loss));
#pragma once

#include <limits>

#include "tenon/optim/schedule.hpp"

namespace tenon {

// Whether a smaller or a larger metric is the better one.
enum class Better { smaller, larger };

struct ReduceOnPlateauOptions {
  double lr = 0.1;
  double factor = 0.1;      // what a reduction multiplies by
  Index patience = 10;      // how many updates without improvement are borne
  double threshold = 1e-4;  // an improvement is at least this part of the best metric
  Index cooldown = 0;       // updates after a reduction in which nothing is counted
  double min_lr = 0;
  Better better = Better::smaller;
};

class ReduceOnPlateau {
 public:
  explicit ReduceOnPlateau(const ReduceOnPlateauOptions& options)
      : o_(options), lr_(options.lr), best_(options.better == Better::smaller ? infinity : -infinity) {
    detail::check_lr(o_.lr, "ReduceOnPlateau");
    require<ValueError>(o_.factor >= 0 && o_.factor < 1, "ReduceOnPlateau: factor is ", o_.factor,
                        ", expected 0 <= factor < 1");
    require<ValueError>(o_.patience >= 0 && o_.cooldown >= 0, "ReduceOnPlateau: patience ", o_.patience,
                        " and cooldown ", o_.cooldown, ", expected at least 0");
  }

  double lr() const { return lr_; }

  // Reports the metric of one more epoch; returns the learning rate for the next. NaN is no improvement.
  double update(double metric) {
    if (improves(metric)) {
      best_ = metric;
      bad_ = 0;
    } else {
      ++bad_;
    }
    if (cooling_ > 0) {
      --cooling_;
      bad_ = 0;
    }
    if (bad_ > o_.patience) {
      const double lower = std::max(lr_ * o_.factor, o_.min_lr);
      if (lr_ - lower > 1e-8) lr_ = lower;  // as PyTorch: a smaller change is not worth making
      cooling_ = o_.cooldown;
      bad_ = 0;
    }
    return lr_;
  }

  // Visits everything a checkpoint needs.
  void state(auto&& visit) {
    visit("lr", lr_);
    visit("best", best_);
    visit("bad", bad_);
    visit("cooling", cooling_);
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  bool improves(double metric) const {
    return o_.better == Better::smaller ? metric < best_ * (1 - o_.threshold)
                                        : metric > best_ * (1 + o_.threshold);
  }

  ReduceOnPlateauOptions o_;
  double lr_, best_;
  Index bad_ = 0, cooling_ = 0;
};

}  // namespace tenon
