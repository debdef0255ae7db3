// Line plots, such as learning curves: curves told apart by colour, dash and marker, so that they stay apart
// in grey and for colour-blind readers; a legend placed where it covers no data.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/report/axes.hpp"
#include "tenon/report/canvas.hpp"
#include "tenon/report/curves.hpp"
#include "tenon/report/legend.hpp"

namespace tenon::report {

struct PlotSize {
  double width = 480, height = 340;  // of one plot, pixels
};

namespace detail {

// Shrinks the text until it fits, to 60 % of its size; then shortens it.
inline void fitted_text(Canvas& canvas, Point at, std::string_view string, TextStyle style, double room) {
  const double width = canvas.text_width(string, style);
  if (width > room) style.size *= std::max(0.6, room / width);
  std::string fitting = shortened(string, 200);
  for (std::size_t n = fitting.size(); n > 1 && canvas.text_width(fitting, style) > room; --n) {
    fitting = shortened(string, n - 1);
  }
  canvas.text(at, fitting, style);
}

inline void draw_axes(Canvas& canvas, const LinePlot& plot, const Rect& frame, const LinearAxis& x_axis,
                      const LinearAxis& y_axis, const Ticks& x_ticks, const Ticks& y_ticks) {
  const Stroke grid{.color = grid_grey, .width = 0.8};
  for (std::size_t i = 0; i < x_ticks.values.size(); ++i) {
    const double x = x_axis(x_ticks.values[i]);
    canvas.line({x, frame.y}, {x, frame.bottom()}, grid);
    canvas.text({x, frame.bottom() + 7}, x_ticks.labels[i],
                {.size = 11, .align = Align::center, .valign = VAlign::top});
  }
  for (std::size_t i = 0; i < y_ticks.values.size(); ++i) {
    const double y = y_axis(y_ticks.values[i]);
    canvas.line({frame.x, y}, {frame.right(), y}, grid);
    canvas.text({frame.x - 6, y}, y_ticks.labels[i],
                {.size = 11, .align = Align::right, .valign = VAlign::middle});
  }
  canvas.outline(frame, {.color = faint_ink, .width = 1});
  fitted_text(canvas, {frame.x + frame.width / 2, frame.bottom() + 36}, plot.x_label,
              {.size = 12, .align = Align::center}, frame.width);
}

// As many ticks along the width as leave room between their labels.
inline Ticks spaced_ticks(Canvas& canvas, Range data, double width, bool whole) {
  for (int wanted = std::max(2, static_cast<int>(width / 52));; --wanted) {
    Ticks ticks = nice_ticks(data, wanted, whole);
    double room = 0;
    for (const std::string& label : ticks.labels) {
      room = std::max(room, canvas.text_width(label, {.size = 11}) + 14);
    }
    if (wanted == 1 || room <= ticks.step / (data.high - data.low) * width) return ticks;
  }
}

// The corner of a one-column legend inside the frame, at the first place where it covers no data.
inline std::optional<Point> free_place(const Legend& legend, const Rect& frame,
                                       std::span<const std::vector<Path>> curves) {
  constexpr double margin = 8, clearance = 4;
  if (legend.empty()) return std::nullopt;
  const double w = legend.width(1), h = legend.height(1);
  if (w + 2 * margin > frame.width || h + 2 * margin > frame.height) return std::nullopt;
  for (const double y : {frame.y + margin, frame.bottom() - h - margin}) {
    for (const double x : {frame.right() - w - margin, frame.x + margin, frame.x + (frame.width - w) / 2}) {
      const Rect box{x - clearance, y - clearance, w + 2 * clearance, h + 2 * clearance};
      if (std::ranges::none_of(curves, [&](const auto& c) { return covers_data(box, c); }))
        return Point{x, y};
    }
  }
  return std::nullopt;
}

inline void draw_plot(Canvas& canvas, const LinePlot& plot, const Rect& area) {
  const Range x_data = x_range(plot), y_data = y_range(plot);
  Legend legend(canvas, plot);

  const Ticks y_ticks = nice_ticks(y_data, std::max(2, static_cast<int>(area.height / 40)));
  double label_width = 0;
  for (const std::string& label : y_ticks.labels) {
    label_width = std::max(label_width, canvas.text_width(label, {.size = 11}));
  }
  const double left = (plot.y_label.empty() ? 14 : 32) + label_width;
  const double top = plot.title.empty() ? 14 : 34;
  const double bottom = plot.x_label.empty() ? 28 : 46;
  Rect frame{area.x + left, area.y + top, area.width - left - 16, area.height - top - bottom};
  const Ticks x_ticks = spaced_ticks(canvas, x_data, frame.width, whole_numbered_x(plot));

  struct Layout {
    LinearAxis x, y;
    std::vector<std::vector<Path>> curves;
  };
  const auto lay_out = [&] {
    Layout l{{x_data, {frame.x, frame.right()}}, {y_data, {frame.bottom(), frame.y}}, {}};
    for (const Curve& curve : plot.curves) l.curves.push_back(curve_paths(curve, l.x, l.y));
    return l;
  };
  Layout layout = lay_out();
  // The legend goes inside where there is room, and below the axis otherwise.
  const std::optional<Point> inside = free_place(legend, frame, layout.curves);
  const double legend_room = area.width - 16;
  if (!inside && !legend.empty()) {
    legend.keep_height(legend_room, frame.height - 90);
    frame.height -= legend.height(legend.columns_in(legend_room)) + 2;
    layout = lay_out();
  }

  if (!plot.title.empty()) {
    fitted_text(canvas, {frame.x + frame.width / 2, area.y + 22}, plot.title,
                {.size = 13, .bold = true, .align = Align::center}, std::min(frame.width, area.width - 16));
  }
  fitted_text(canvas, {area.x + 18, frame.y + frame.height / 2}, plot.y_label,
              {.size = 12, .align = Align::center, .angle = 90}, frame.height);
  draw_axes(canvas, plot, frame, layout.x, layout.y, x_ticks, y_ticks);

  bool any = false;
  canvas.clipped({frame.x - 1, frame.y - 1, frame.width + 2, frame.height + 2}, [&] {
    for (std::size_t i = 0; i < layout.curves.size(); ++i) {
      any = any || !layout.curves[i].empty();
      draw_curve(canvas, layout.curves[i], i);
    }
  });
  if (!any) {
    canvas.text({frame.x + frame.width / 2, frame.y + frame.height / 2}, "no finite values",
                {.size = 12, .color = faint_ink, .align = Align::center, .valign = VAlign::middle});
  }
  if (inside) {
    legend.draw(canvas, *inside, 1, true);
  } else if (!legend.empty()) {
    const std::size_t columns = legend.columns_in(legend_room);
    const double x = std::max(area.x + 8, frame.x + (frame.width - legend.width(columns)) / 2);
    legend.draw(canvas, {std::min(x, area.right() - 8 - legend.width(columns)), frame.bottom() + bottom},
                columns, false);
  }
}

}  // namespace detail

// Writes the plots, row by row, as one picture: `stem`.svg and `stem`.png. ValueError for curves whose x and
// y differ in length, a y range without extent, no plot or no column, or plots under 240 x 180.
inline void save_grid(std::span<const LinePlot> plots, int columns, const std::filesystem::path& stem,
                      PlotSize size = {}) {
  require<ValueError>(!plots.empty() && columns >= 1, "save_grid: ", plots.size(), " plots in ", columns,
                      " columns, expected at least one of each");
  require<ValueError>(size.width >= 240 && size.height >= 180, "save_grid: plots of ", size.width, " x ",
                      size.height, " pixels, expected at least 240 x 180");
  for (const LinePlot& plot : plots) detail::check(plot);
  const auto across = std::min(static_cast<std::size_t>(columns), plots.size());
  const auto down = (plots.size() + across - 1) / across;
  render(stem, size.width * static_cast<double>(across), size.height * static_cast<double>(down),
         [&](Canvas& canvas) {
           for (std::size_t i = 0; i < plots.size(); ++i) {
             detail::draw_plot(canvas, plots[i],
                               {size.width * static_cast<double>(i % across),
                                size.height * static_cast<double>(i / across), size.width, size.height});
           }
         });
}

inline void save(const LinePlot& plot, const std::filesystem::path& stem, PlotSize size = {640, 420}) {
  save_grid({&plot, 1}, 1, stem, size);
}

}  // namespace tenon::report
