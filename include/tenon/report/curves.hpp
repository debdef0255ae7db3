// What a line plot is made of, and its curves as paths in picture coordinates.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/report/axes.hpp"
#include "tenon/report/canvas.hpp"

namespace tenon::report {

struct Curve {
  std::string name = {};               // in the legend; empty: not listed
  std::vector<double> x = {}, y = {};  // (n) each; a value that is not finite leaves a gap
};

// Units belong into the labels: "time (s)", "accuracy (%)".
struct LinePlot {
  std::string title = {}, x_label = {}, y_label = {};
  std::vector<Curve> curves = {};
  std::optional<Range> y_range = {};  // otherwise the data's, with a margin
};

namespace detail {

// Beyond this a span would overflow; such values are left out like infinities.
inline bool drawable(double value) { return std::abs(value) < 1e300; }

// The range of the drawable values that `visit` passes on, widened by `margin` of its span; {0, 1} without
// any.
template <class Visit>
Range padded_range(Visit&& visit, double margin) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  visit([&](double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  });
  if (low > high) return {0, 1};
  const double span = high - low;
  const double smallest = 1e-9 * std::max(std::abs(low), std::abs(high));
  const double pad = span > smallest ? margin * span : (low == 0 ? 1.0 : 0.1 * std::abs(low));
  return {low >= 0 && low - pad < 0 ? 0 : low - pad,
          high + pad};  // quantities that are never negative start at 0
}

template <class Visit>
void for_each_point(const LinePlot& plot, Visit&& visit) {
  for (const Curve& curve : plot.curves) {
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (drawable(curve.x[i]) && drawable(curve.y[i])) visit(curve.x[i], curve.y[i]);
    }
  }
}

inline Range x_range(const LinePlot& plot) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for_each_point(plot, [&](double x, double) {
    low = std::min(low, x);
    high = std::max(high, x);
  });
  if (low > high) return {0, 1};
  const double pad = high > low ? 0.02 * (high - low) : std::max(1.0, 1e-6 * std::abs(low));
  return {low - pad, high + pad};
}

inline Range y_range(const LinePlot& plot) {
  if (plot.y_range) return *plot.y_range;
  return padded_range([&](auto&& see) { for_each_point(plot, [&](double, double y) { see(y); }); }, 0.06);
}

inline bool whole_numbered_x(const LinePlot& plot) {
  bool whole = true;
  for_each_point(plot, [&](double x, double) { whole = whole && x == std::floor(x); });
  return whole;
}

inline void check(const LinePlot& plot) {
  for (const Curve& curve : plot.curves) {
    require<ValueError>(curve.x.size() == curve.y.size(), "line plot '", plot.title, "', curve '", curve.name,
                        "': ", curve.x.size(), " x values, ", curve.y.size(), " y values");
  }
  if (plot.y_range) {
    require<ValueError>(
        plot.y_range->high > plot.y_range->low && drawable(plot.y_range->low) && drawable(plot.y_range->high),
        "line plot '", plot.title, "': y range ", plot.y_range->low, " … ", plot.y_range->high,
        ", expected low < high");
  }
}

using Path = std::vector<Point>;

// The curve in picture coordinates, cut at its gaps. Where many points share a pixel column only the first,
// the lowest, the highest and the last of them are kept, which look the same.
inline std::vector<Path> curve_paths(const Curve& curve, const LinearAxis& x_axis, const LinearAxis& y_axis) {
  std::vector<Path> paths(1);
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (drawable(curve.x[i]) && drawable(curve.y[i])) {
      paths.back().push_back({x_axis(curve.x[i]), y_axis(curve.y[i])});
    } else if (!paths.back().empty()) {
      paths.emplace_back();
    }
  }
  if (paths.back().empty()) paths.pop_back();

  for (Path& path : paths) {
    if (path.size() < 2000) continue;
    Path thin;
    for (std::size_t i = 0; i < path.size();) {
      std::size_t end = i, low = i, high = i;
      for (; end < path.size() && std::floor(path[end].x) == std::floor(path[i].x); ++end) {
        if (path[end].y < path[low].y) low = end;
        if (path[end].y > path[high].y) high = end;
      }
      std::array keep{i, std::min(low, high), std::max(low, high), end - 1};
      const auto last = std::unique(keep.begin(), keep.end());
      for (auto k = keep.begin(); k != last; ++k) thin.push_back(path[*k]);
      i = end;
    }
    path = std::move(thin);
  }
  return paths;
}

// Whether the segment meets the rectangle (Liang & Barsky 1984).
inline bool meets(Point a, Point b, const Rect& r) {
  double enter = 0, leave = 1;
  const double dx = b.x - a.x, dy = b.y - a.y;
  const std::array<std::pair<double, double>, 4> sides{
      {{-dx, a.x - r.x}, {dx, r.right() - a.x}, {-dy, a.y - r.y}, {dy, r.bottom() - a.y}}};
  for (const auto& [p, q] : sides) {
    if (p == 0) {
      if (q < 0) return false;
    } else if (p < 0) {
      enter = std::max(enter, q / p);
    } else {
      leave = std::min(leave, q / p);
    }
  }
  return enter <= leave;
}

inline bool covers_data(const Rect& r, std::span<const Path> paths) {
  for (const Path& path : paths) {
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (meets(path[i], path[i + 1 < path.size() ? i + 1 : i], r)) return true;
    }
  }
  return false;
}

}  // namespace detail

}  // namespace tenon::report
