// How each curve of a line plot looks, and the legend that says so.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tenon/report/canvas.hpp"
#include "tenon/report/curves.hpp"

namespace tenon::report::detail {

// How the i-th curve looks.
struct CurveStyle {
  Stroke stroke;
  Marker marker;
};

inline CurveStyle curve_style(std::size_t i) {
  static const std::array<std::vector<double>, 4> dashes{{{}, {6, 3}, {2, 2.5}, {8, 3, 2, 3}}};
  constexpr std::array markers{Marker::circle,        Marker::square, Marker::triangle, Marker::diamond,
                               Marker::triangle_down, Marker::cross,  Marker::plus};
  return {{.color = categorical(i), .width = 1.8, .dash = dashes[(i + i / 8) % 4]},
          markers[i % markers.size()]};
}

// A marker at each point of a short curve, at every k-th of a long one, and at each that stands alone.
inline void draw_curve(Canvas& canvas, std::span<const Path> paths, std::size_t index) {
  const CurveStyle style = curve_style(index);
  std::size_t points = 0;
  for (const Path& path : paths) points += path.size();
  const std::size_t every = std::max<std::size_t>(1, points / 16);
  std::size_t count = index * every / 3;  // curves that lie on each other show their markers in turn
  for (const Path& path : paths) {
    canvas.polyline(path, style.stroke);
    for (const Point& p : path) {
      if (count++ % every == 0 || path.size() == 1) canvas.marker(p, style.marker, 5.5, style.stroke.color);
    }
  }
}

// The legend's entries in rows of `columns`, all cells equally wide.
class Legend {
 public:
  static constexpr double sample = 26, gap = 6, row_height = 16, pad = 6;

  Legend(Canvas& canvas, const LinePlot& plot) {
    for (std::size_t i = 0; i < plot.curves.size(); ++i) {
      if (plot.curves[i].name.empty()) continue;
      entries_.push_back({shortened(plot.curves[i].name, 40), i});
      cell_ = std::max(cell_, sample + gap + canvas.text_width(entries_.back().first, style));
    }
  }

  bool empty() const { return entries_.empty(); }

  // Keeps what fits into the height when set in a width; the last entry then says how many are left out.
  void keep_height(double width, double height) {
    const std::size_t columns = columns_in(width);
    const auto rows = static_cast<std::size_t>(std::max(1.0, (height - 2 * pad + 4) / row_height));
    if (entries_.size() <= rows * columns) return;
    const std::size_t left_out = entries_.size() - rows * columns + 1;
    entries_.resize(rows * columns - 1);
    entries_.push_back({text("… and ", left_out, " more"), no_curve});
  }

  std::size_t columns_in(double width) const {
    const auto fit = static_cast<std::size_t>(std::max(1.0, (width - 2 * pad + 12) / (cell_ + 12)));
    return std::min(fit, entries_.size());
  }

  double width(std::size_t columns) const {
    return static_cast<double>(columns) * (cell_ + 12) - 12 + 2 * pad;
  }
  double height(std::size_t columns) const {
    return static_cast<double>((entries_.size() + columns - 1) / columns) * row_height + 2 * pad - 4;
  }

  void draw(Canvas& canvas, Point corner, std::size_t columns, bool framed) const {
    const Rect box{corner.x, corner.y, width(columns), height(columns)};
    if (framed) {
      canvas.fill(box, {1, 1, 1, 0.9});
      canvas.outline(box, {.color = rgb(0xCCCCCC), .width = 0.8});
    }
    for (std::size_t k = 0; k < entries_.size(); ++k) {
      const double x = box.x + pad + static_cast<double>(k % columns) * (cell_ + 12);
      const double y = box.y + pad - 2 + (static_cast<double>(k / columns) + 0.5) * row_height;
      if (entries_[k].second != no_curve) {
        const CurveStyle look = curve_style(entries_[k].second);
        canvas.line({x, y}, {x + sample, y}, look.stroke);
        canvas.marker({x + sample / 2, y}, look.marker, 5.5, look.stroke.color);
      }
      canvas.text({x + sample + gap, y}, entries_[k].first, style);
    }
  }

 private:
  static constexpr auto no_curve = static_cast<std::size_t>(-1);
  static inline const TextStyle style{.size = 11, .valign = VAlign::middle};
  std::vector<std::pair<std::string, std::size_t>> entries_;  // name, position among the curves
  double cell_ = 0;
};

}  // namespace tenon::report::detail
