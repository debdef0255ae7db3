// A confusion matrix as a heat map: each row in percent of its true class.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/report/axes.hpp"
#include "tenon/report/canvas.hpp"
#include "tenon/train/confusion.hpp"

namespace tenon::report {

namespace detail {

// Every length of the picture, from the number of classes and the widest name.
struct MatrixLayout {
  double cell, font, name_angle;
  double left, top, below, side;  // side: the extent of the matrix

  static MatrixLayout of(Canvas& canvas, const std::vector<std::string>& names) {
    MatrixLayout l{};
    const auto n = static_cast<double>(names.size());
    l.cell = std::clamp(std::round(600 / n), 9.0, 56.0);
    l.font = std::clamp(l.cell - 2, 7.0, 12.0);
    l.name_angle = l.cell >= 22 ? 45 : 90;
    l.side = l.cell * n;
    double widest = 0;
    for (const std::string& name : names)
      widest = std::max(widest, canvas.text_width(name, {.size = l.font}));
    l.left = 52 + widest;
    if (l.name_angle == 45) {  // the first name runs down to the left of its column
      l.left = std::max(l.left, widest * std::sqrt(0.5) + 12);
      l.below = (widest + l.font) * std::sqrt(0.5) + 40;
    } else {
      l.below = widest + 42;
    }
    l.top = 60;
    return l;
  }

  double width() const { return left + side + 90; }
  double height() const { return top + side + below; }
};

// Percent in at most three characters and a point: 7.4, 62.8, 100.
inline std::string percent(double share, bool decimal) {
  return share >= 0.9995 || !decimal ? fixed(100 * share, 0) : fixed(100 * share, 1);
}

inline void draw_cells(Canvas& canvas, const ConfusionMatrix& matrix, const MatrixLayout& l) {
  const double size = std::min(12.0, l.cell / 3.1);
  const bool numbers = size >= 7;
  const bool decimal = l.cell >= 34;
  canvas.fill({l.left, l.top, l.side, l.side}, sequential(0));
  for (Index i = 0; i < matrix.size(); ++i) {
    const auto row = static_cast<double>(matrix.row_total(i));
    for (Index j = 0; j < matrix.size(); ++j) {
      const double share = static_cast<double>(matrix.at(i, j)) / row;
      if (share == 0) continue;
      const Rect r{l.left + l.cell * static_cast<double>(j), l.top + l.cell * static_cast<double>(i), l.cell,
                   l.cell};
      const Color color = row > 0 ? sequential(share) : rgb(0xDDDDDD);
      canvas.fill(r, color);
      if (numbers && row > 0) {
        canvas.text(
            {r.x + l.cell / 2, r.y + l.cell / 2}, percent(share, decimal),
            {.size = size, .color = readable_on(color), .align = Align::center, .valign = VAlign::middle});
      }
    }
  }
  if (l.cell >= 14) {
    for (Index i = 1; i < matrix.size(); ++i) {
      const double d = l.cell * static_cast<double>(i);
      const Stroke thin{.color = white, .width = 0.8};
      canvas.line({l.left + d, l.top}, {l.left + d, l.top + l.side}, thin);
      canvas.line({l.left, l.top + d}, {l.left + l.side, l.top + d}, thin);
    }
  }
  canvas.outline({l.left, l.top, l.side, l.side}, {.color = faint_ink, .width = 1});
}

inline void draw_names(Canvas& canvas, const std::vector<std::string>& names, const MatrixLayout& l) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double middle = l.cell * (static_cast<double>(i) + 0.5);
    canvas.text({l.left - 6, l.top + middle}, names[i],
                {.size = l.font, .align = Align::right, .valign = VAlign::middle});
    canvas.text({l.left + middle, l.top + l.side + 6}, names[i],
                {.size = l.font,
                 .align = Align::right,
                 .valign = l.name_angle == 45 ? VAlign::top : VAlign::middle,
                 .angle = l.name_angle});
  }
  canvas.text({20, l.top + l.side / 2}, "true class", {.size = 12, .align = Align::center, .angle = 90});
  canvas.text({l.left + l.side / 2, l.height() - 12}, "predicted class",
              {.size = 12, .align = Align::center});
}

inline void draw_color_bar(Canvas& canvas, const MatrixLayout& l) {
  const Rect bar{l.left + l.side + 24, l.top, 14, std::max(l.side, 100.0)};
  constexpr int bands = 128;
  for (int i = 0; i < bands; ++i) {  // each band reaches under the next one, which leaves no seam
    const double from = bar.y + bar.height * i / bands;
    canvas.fill({bar.x, from, bar.width, bar.bottom() - from}, sequential(1 - (i + 0.5) / bands));
  }
  canvas.outline(bar, {.color = faint_ink, .width = 1});
  for (const int tick : {0, 25, 50, 75, 100}) {
    const double y = bar.bottom() - bar.height * tick / 100;
    canvas.line({bar.right(), y}, {bar.right() + 4, y}, {.color = faint_ink});
    canvas.text({bar.right() + 8, y}, text(tick, " %"), {.size = 11, .valign = VAlign::middle});
  }
}

}  // namespace detail

// Writes `stem`.svg and `stem`.png. Cells hold percent of their row; empty cells are blank, rows without any
// item grey, and cells too small for numbers show the colour alone. ValueError unless there are 1 … 1000
// classes.
inline void save(const ConfusionMatrix& matrix, const std::filesystem::path& stem, const std::string& title) {
  require<ValueError>(matrix.size() >= 1 && matrix.size() <= 400, stem.string(), ": confusion matrix of ",
                      matrix.size(), " classes, expected 1 … 400");
  std::vector<std::string> names;
  for (const std::string& name : matrix.classes) names.push_back(shortened(name, 24));

  // Names are measured before the size of the picture is known.
  const detail::CairoSurface scratch(cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1));
  Canvas measure(scratch.get());
  const auto l = detail::MatrixLayout::of(measure, names);

  std::string subtitle = text("percent of the true class, ", matrix.total(), " items");
  if (matrix.total() > 0) subtitle += text(", accuracy ", fixed(100 * matrix.accuracy(), 2), " %");
  const TextStyle bold{.size = 14, .bold = true};
  const double heading =
      32 + std::max(measure.text_width(title, bold), measure.text_width(subtitle, {.size = 11}));
  render(stem, std::min(std::max(l.width(), heading), 16000.0), l.height(), [&](Canvas& canvas) {
    canvas.text({16, 24}, title, bold);
    canvas.text({16, 42}, subtitle, {.size = 11, .color = faint_ink});
    detail::draw_cells(canvas, matrix, l);
    detail::draw_names(canvas, names, l);
    detail::draw_color_bar(canvas, l);
  });
}

}  // namespace tenon::report
