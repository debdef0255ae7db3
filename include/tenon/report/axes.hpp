// Axes: tick positions at 1, 2 or 5 times a power of ten, their labels, and the linear map from data to
// picture.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "tenon/core/error.hpp"

namespace tenon::report {

struct Range {
  double low = 0, high = 1;
};

// Maps data in `data` linearly onto `picture`; either may run downwards.
struct LinearAxis {
  Range data, picture;

  double operator()(double value) const {
    return picture.low + (value - data.low) / (data.high - data.low) * (picture.high - picture.low);
  }
};

struct Ticks {
  double step = 1;
  std::vector<double> values;  // ascending, within the range
  std::vector<std::string> labels;
};

// The smallest 1, 2 or 5 times a power of ten that is at least `step` > 0.
inline double nice_step(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// A tick's label. Ticks `step` apart differ in their labels; very large and very small values (by `largest`,
// the largest magnitude on the axis) are written with an exponent.
inline std::string tick_label(double value, double step, double largest) {
  if (std::abs(value) < step * 1e-6) return "0";
  const int step_power = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  if (largest < 1e6 && step_power >= -4) return fixed(value, std::max(0, -step_power));

  const int value_power = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
  const double mantissa = value / std::pow(10.0, value_power);
  return text(fixed(mantissa, std::clamp(value_power - step_power, 0, 15)), "e", value_power);
}

// At most wanted + 1 ticks in the range, seldom under half of that; `whole` allows no step under 1, for
// counts such as epochs. ValueError unless range.low < range.high, both finite.
inline Ticks nice_ticks(Range range, int wanted, bool whole = false) {
  const double span = range.high - range.low;
  require<ValueError>(span > 0 && std::isfinite(span), "ticks: range ", range.low, " … ", range.high,
                      " is empty or not finite");
  require<ValueError>(wanted >= 1, "ticks: ", wanted, " wanted, expected at least 1");

  Ticks ticks;
  ticks.step = nice_step(span / wanted);
  if (whole) ticks.step = std::max(1.0, ticks.step);
  const double slack = 1e-9 * span;  // a limit that is a tick stays one in spite of rounding
  const double first = std::ceil((range.low - slack) / ticks.step);
  const double last = std::floor((range.high + slack) / ticks.step);
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  for (double k = first; k <= last && k + 1 > k; ++k) {
    ticks.values.push_back(k * ticks.step);
    ticks.labels.push_back(tick_label(k * ticks.step, ticks.step, largest));
  }
  return ticks;
}

}  // namespace tenon::report
