// The one-cycle policy (Smith & Topin 2019) in PyTorch's two-phase form: the learning rate rises from
// max_lr/div_factor to max_lr and falls to max_lr/(div_factor·final_div_factor), both along half a cosine;
// the momentum moves the other way.
//
//   const OneCycle cycle({.max_lr = 0.4, .steps = 1000});
//   opt.set_lr(cycle(step));
//   opt.set_momentum(cycle.momentum(step));
#pragma once

#include "tenon/optim/schedule.hpp"

namespace tenon {

struct OneCycleOptions {
  double max_lr = 0.1;
  Index steps = 100;         // in all
  double rising_part = 0.3;  // of the steps
  double div_factor = 25;
  double final_div_factor = 1e4;
  double base_momentum = 0.85, max_momentum = 0.95;
};

class OneCycle {
 public:
  explicit OneCycle(const OneCycleOptions& options) : o_(options) {
    detail::check_lr(o_.max_lr, "OneCycle");
    detail::check_steps(o_.steps, "OneCycle");
    require<ValueError>(o_.rising_part >= 0 && o_.rising_part <= 1, "OneCycle: rising_part is ",
                        o_.rising_part, ", expected 0 to 1");
    require<ValueError>(o_.div_factor > 0 && o_.final_div_factor > 0, "OneCycle: the factors are ",
                        o_.div_factor, " and ", o_.final_div_factor, ", expected above 0");
  }

  // The learning rate; throws ValueError from step `steps` on, where the cycle is over.
  double operator()(Index step) const {
    const double start = o_.max_lr / o_.div_factor;
    return between(step, start, o_.max_lr, start / o_.final_div_factor);
  }

  double momentum(Index step) const {
    return between(step, o_.max_momentum, o_.base_momentum, o_.max_momentum);
  }

 private:
  double between(Index step, double start, double top, double end) const {
    require<ValueError>(step >= 0 && step < o_.steps, "OneCycle: step ", step, ", the cycle has ", o_.steps,
                        " steps");
    const double at = static_cast<double>(step);
    const double turn = o_.rising_part * static_cast<double>(o_.steps) - 1,
                 last = static_cast<double>(o_.steps - 1);
    return at <= turn ? cosine(start, top, at, turn) : cosine(top, end, at - turn, last - turn);
  }

  // Half a cosine from a to b, `at` of `length` along.
  static double cosine(double a, double b, double at, double length) {
    const double part = length > 1e-9 ? at / length : 1;  // a rise of no steps, give or take rounding
    return b + (a - b) / 2 * (std::cos(std::numbers::pi * part) + 1);
  }

  OneCycleOptions o_;
};

}  // namespace tenon
