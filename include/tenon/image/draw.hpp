// Drawing on pictures, for overlays: anti-aliased lines, circles, boxes and text, and setting pictures side
// by side.
//
// Positions are pixels with (0,0) the centre of the top-left one, x to the right and y downwards; what lies
// outside the picture is not drawn. Pictures are (H,W,3) bytes and are changed in place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "tenon/image/stroke_font.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

struct Rgb {
  std::uint8_t r = 0, g = 0, b = 0;

  friend bool operator==(const Rgb&, const Rgb&) = default;
};

struct Pen {
  Rgb color = {};
  double width = 1;    // pixels
  double opacity = 1;  // 0 … 1
};

namespace detail {

inline void check_canvas(const Tensor<std::uint8_t>& x, const char* who) {
  require<ShapeError>(x.rank() == 3 && x.size(2) == 3, who, ": shape ", x.shape(), ", expected (H,W,3)");
}

// Lays the pen's colour over a pixel; `coverage` is the share of the pixel it takes, 0 … 1.
inline void blend(Tensor<std::uint8_t>& x, Index row, Index column, const Pen& pen, double coverage) {
  const double share = std::clamp(coverage, 0.0, 1.0) * std::clamp(pen.opacity, 0.0, 1.0);
  std::uint8_t* pixel = x.data() + (row * x.size(1) + column) * 3;
  const auto mix = [&](std::uint8_t& old, std::uint8_t fresh) {
    old = static_cast<std::uint8_t>(old + share * (static_cast<double>(fresh) - old) + 0.5);
  };
  mix(pixel[0], pen.color.r);
  mix(pixel[1], pen.color.g);
  mix(pixel[2], pen.color.b);
}

// Pixels from `low` to `high` along an axis of `extent`, as a range begin … end-1. NaN gives none.
struct PixelRange {
  Index begin = 0, end = 0;

  PixelRange(double low, double high, Index extent) {
    const auto limit = static_cast<double>(extent);
    if (!(high >= 0 && low <= limit - 1 && low <= high)) return;
    begin = static_cast<Index>(std::ceil(std::max(low, 0.0)));
    end = static_cast<Index>(std::floor(std::min(high, limit - 1))) + 1;
  }
};

// Where the stretch a … b of a line may touch row y (within `reach`), as a range of x.
inline PixelRange line_columns(double x1, double y1, double x2, double y2, double y, double reach,
                               Index width) {
  double from = 0, to = 1;  // the part of the line within `reach` of the row
  if (y1 != y2) {
    const double a = (y - reach - y1) / (y2 - y1), b = (y + reach - y1) / (y2 - y1);
    from = std::clamp(std::min(a, b), 0.0, 1.0);
    to = std::clamp(std::max(a, b), 0.0, 1.0);
  }
  const double xa = x1 + from * (x2 - x1), xb = x1 + to * (x2 - x1);
  return {std::min(xa, xb) - reach, std::max(xa, xb) + reach, width};
}

}  // namespace detail

// With round ends.
inline void draw_line(Tensor<std::uint8_t>& x, double x1, double y1, double x2, double y2,
                      const Pen& pen = {}) {
  detail::check_canvas(x, "draw_line");
  const double radius = pen.width / 2, reach = radius + 0.5;
  const double dx = x2 - x1, dy = y2 - y1, square = dx * dx + dy * dy;
  const detail::PixelRange rows(std::min(y1, y2) - reach, std::max(y1, y2) + reach, x.size(0));
  for (Index i = rows.begin; i < rows.end; ++i) {
    const auto py = static_cast<double>(i);
    const auto columns = detail::line_columns(x1, y1, x2, y2, py, reach, x.size(1));
    for (Index j = columns.begin; j < columns.end; ++j) {
      const auto px = static_cast<double>(j);
      const double along = square > 0 ? std::clamp(((px - x1) * dx + (py - y1) * dy) / square, 0.0, 1.0) : 0;
      const double distance = std::hypot(px - x1 - along * dx, py - y1 - along * dy);
      if (distance < reach) detail::blend(x, i, j, pen, std::min(reach - distance, pen.width));
    }
  }
}

// A ring of the pen's width around the radius.
inline void draw_circle(Tensor<std::uint8_t>& x, double cx, double cy, double radius, const Pen& pen = {}) {
  detail::check_canvas(x, "draw_circle");
  const double half = pen.width / 2, reach = radius + half + 0.5;
  const detail::PixelRange rows(cy - reach, cy + reach, x.size(0));
  for (Index i = rows.begin; i < rows.end; ++i) {
    const double py = static_cast<double>(i) - cy;
    const double chord = std::sqrt(std::max(0.0, reach * reach - py * py));
    const detail::PixelRange columns(cx - chord, cx + chord, x.size(1));
    for (Index j = columns.begin; j < columns.end; ++j) {
      const double distance = std::abs(std::hypot(static_cast<double>(j) - cx, py) - radius);
      if (distance < half + 0.5) detail::blend(x, i, j, pen, std::min(half + 0.5 - distance, pen.width));
    }
  }
}

// The outline of a box with the corners (x1,y1) and (x2,y2).
inline void draw_box(Tensor<std::uint8_t>& x, double x1, double y1, double x2, double y2,
                     const Pen& pen = {}) {
  draw_line(x, x1, y1, x2, y1, pen);
  draw_line(x, x2, y1, x2, y2, pen);
  draw_line(x, x2, y2, x1, y2, pen);
  draw_line(x, x1, y2, x1, y1, pen);
}

// Fills the pixels whose centres lie in the box.
inline void fill_box(Tensor<std::uint8_t>& x, double x1, double y1, double x2, double y2,
                     const Pen& pen = {}) {
  detail::check_canvas(x, "fill_box");
  const detail::PixelRange rows(std::min(y1, y2), std::max(y1, y2), x.size(0));
  const detail::PixelRange columns(std::min(x1, x2), std::max(x1, x2), x.size(1));
  for (Index i = rows.begin; i < rows.end; ++i) {
    for (Index j = columns.begin; j < columns.end; ++j) detail::blend(x, i, j, pen, 1);
  }
}

struct TextOptions {
  Rgb color = {};
  double size = 10;  // height of a capital letter, pixels
};

// How wide the text is, pixels.
inline double text_width(std::string_view string, const TextOptions& o = {}) {
  const auto letters = static_cast<double>(string.size());
  return std::max(0.0, letters * detail::glyph_advance - 2) * o.size / detail::cap_height;
}

// One line of ASCII; (left, top) is the corner of its first capital letter. Other bytes show as a box.
inline void draw_text(Tensor<std::uint8_t>& x, double left, double top, std::string_view string,
                      const TextOptions& o = {}) {
  const double unit = o.size / detail::cap_height;
  const Pen pen{.color = o.color, .width = std::max(1.0, 0.8 * unit)};
  for (const char letter : string) {
    const bool known = letter >= 32 && letter <= 126;
    std::string_view glyph = known ? detail::glyphs[static_cast<std::size_t>(letter - 32)] : "0040460600";
    while (!glyph.empty()) {
      const std::size_t end = std::min(glyph.find(' '), glyph.size());
      const std::string_view stroke = glyph.substr(0, end);
      const auto px = [&](std::size_t i) { return left + unit * (stroke[2 * i] - '0'); };
      const auto py = [&](std::size_t i) { return top + unit * (stroke[2 * i + 1] - '0'); };
      const std::size_t points = stroke.size() / 2;
      if (points == 1) draw_line(x, px(0), py(0), px(0), py(0), pen);
      for (std::size_t i = 1; i < points; ++i) draw_line(x, px(i - 1), py(i - 1), px(i), py(i), pen);
      glyph.remove_prefix(std::min(end + 1, glyph.size()));
    }
    left += unit * detail::glyph_advance;
  }
}

// Copies `patch` (h,w,3) into x with its corner at (left, top); what stands over is left out.
inline void paste(Tensor<std::uint8_t>& x, const Tensor<std::uint8_t>& patch, Index left, Index top) {
  detail::check_canvas(x, "paste");
  detail::check_canvas(patch, "paste");
  const Index first = std::max<Index>(0, -left), last = std::min(patch.size(1), x.size(1) - left);
  for (Index i = std::max<Index>(0, -top); i < std::min(patch.size(0), x.size(0) - top) && first < last;
       ++i) {
    std::copy_n(patch.data() + (i * patch.size(1) + first) * 3, (last - first) * 3,
                x.data() + ((top + i) * x.size(1) + left + first) * 3);
  }
}

// A picture of one colour.
inline Tensor<std::uint8_t> blank(Index height, Index width, Rgb color = {255, 255, 255}) {
  Tensor<std::uint8_t> x({height, width, 3});
  for (Index i = 0; i < height * width; ++i) {
    x.data()[3 * i] = color.r;
    x.data()[3 * i + 1] = color.g;
    x.data()[3 * i + 2] = color.b;
  }
  return x;
}

// a (H,W,3) and b (H',W',3) -> one picture, a on the left.
inline Tensor<std::uint8_t> side_by_side(const Tensor<std::uint8_t>& a, const Tensor<std::uint8_t>& b) {
  Tensor<std::uint8_t> x = blank(std::max(a.size(0), b.size(0)), a.size(1) + b.size(1), {});
  paste(x, a, 0, 0);
  paste(x, b, a.size(1), 0);
  return x;
}

// hue 0 … 1 around the colour circle, bright and saturated.
inline Rgb hue_color(double hue) {
  const auto channel = [&](double n) {
    const double k = std::fmod(n + 6 * (hue - std::floor(hue)), 6.0);
    return static_cast<std::uint8_t>(255 * (1 - std::clamp(std::min(k, 4 - k), 0.0, 1.0)) + 0.5);
  };
  return {channel(5), channel(3), channel(1)};
}

}  // namespace tenon::image
