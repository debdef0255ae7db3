// A drawing surface: the same picture as SVG (for pages and print) and as PNG (at twice the size, for
// screens). The only header that includes cairo.
//
// Lengths are CSS pixels, x to the right and y downwards, angles in degrees counter-clockwise.
#pragma once

#include <cairo-svg.h>
#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/report/palette.hpp"
#include "tenon/report/utf8.hpp"

namespace tenon::report {

struct Point {
  double x = 0, y = 0;
};

struct Rect {
  double x = 0, y = 0, width = 0, height = 0;

  double right() const { return x + width; }
  double bottom() const { return y + height; }
};

struct Stroke {
  Color color = ink;
  double width = 1;
  std::vector<double> dash = {};  // lengths on, off, on, …; empty: solid
};

enum class Align { left, center, right };

// `top` and `middle` refer to capital letters, so that labels without descenders look centred.
enum class VAlign { top, middle, baseline };

struct TextStyle {
  double size = 12;
  bool bold = false;
  Color color = ink;
  Align align = Align::left;
  VAlign valign = VAlign::baseline;
  double angle = 0;
};

enum class Marker { circle, square, triangle, diamond, triangle_down, cross, plus };

namespace detail {

struct CairoFree {
  void operator()(cairo_t* c) const { cairo_destroy(c); }
  void operator()(cairo_surface_t* s) const { cairo_surface_destroy(s); }
  void operator()(cairo_font_options_t* o) const { cairo_font_options_destroy(o); }
};
using CairoContext = std::unique_ptr<cairo_t, CairoFree>;
using CairoSurface = std::unique_ptr<cairo_surface_t, CairoFree>;

// Called from C, which no exception may cross.
inline cairo_status_t append_bytes(void* bytes, const unsigned char* data, unsigned size) noexcept {
  try {
    static_cast<std::string*>(bytes)->append(reinterpret_cast<const char*>(data), size);
    return CAIRO_STATUS_SUCCESS;
  } catch (...) { return CAIRO_STATUS_WRITE_ERROR; }
}

}  // namespace detail

class Canvas {
 public:
  // Draws on a surface that outlives the canvas; `scale` picture elements a pixel.
  explicit Canvas(cairo_surface_t* surface, double scale = 1) : cairo_(cairo_create(surface)) {
    cairo_scale(cairo_.get(), scale, scale);
    const std::unique_ptr<cairo_font_options_t, detail::CairoFree> options(cairo_font_options_create());
    cairo_font_options_set_hint_style(options.get(), CAIRO_HINT_STYLE_NONE);  // the same layout at any scale
    cairo_font_options_set_hint_metrics(options.get(), CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_antialias(options.get(), CAIRO_ANTIALIAS_GRAY);
    cairo_set_font_options(cairo_.get(), options.get());
    cairo_set_line_join(cairo_.get(), CAIRO_LINE_JOIN_ROUND);
  }

  // What went wrong so far; cairo ignores all drawing after the first failure.
  cairo_status_t status() const { return cairo_status(cairo_.get()); }

  void fill(const Rect& r, const Color& color) {
    cairo_rectangle(cairo_.get(), r.x, r.y, r.width, r.height);
    set_color(color);
    cairo_fill(cairo_.get());
  }

  void outline(const Rect& r, const Stroke& stroke) {
    cairo_rectangle(cairo_.get(), r.x, r.y, r.width, r.height);
    draw(stroke);
  }

  void line(Point from, Point to, const Stroke& stroke) {
    const Point ends[] = {from, to};
    polyline(ends, stroke);
  }

  void polyline(std::span<const Point> points, const Stroke& stroke) {
    for (const Point& p : points) cairo_line_to(cairo_.get(), p.x, p.y);
    draw(stroke);
  }

  // `size` is the diameter of the circle; the others look as large.
  void marker(Point at, Marker shape, double size, const Color& color) {
    const double r = size / 2;
    cairo_new_path(cairo_.get());
    switch (shape) {
      case Marker::circle:
        cairo_arc(cairo_.get(), at.x, at.y, r, 0, 2 * std::numbers::pi);
        break;
      case Marker::square:
        polygon(at, 0.88 * r, {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}});
        break;
      case Marker::triangle:
        polygon(at, 1.1 * r, {{0, -1}, {1, 0.8}, {-1, 0.8}});
        break;
      case Marker::diamond:
        polygon(at, 1.2 * r, {{0, -1}, {1, 0}, {0, 1}, {-1, 0}});
        break;
      case Marker::triangle_down:
        polygon(at, 1.1 * r, {{0, 1}, {1, -0.8}, {-1, -0.8}});
        break;
      case Marker::cross:
        line({at.x - r, at.y - r}, {at.x + r, at.y + r}, {.color = color, .width = 0.4 * size});
        line({at.x - r, at.y + r}, {at.x + r, at.y - r}, {.color = color, .width = 0.4 * size});
        return;
      case Marker::plus:
        line({at.x - 1.1 * r, at.y}, {at.x + 1.1 * r, at.y}, {.color = color, .width = 0.4 * size});
        line({at.x, at.y - 1.1 * r}, {at.x, at.y + 1.1 * r}, {.color = color, .width = 0.4 * size});
        return;
    }
    set_color(color);
    cairo_fill(cairo_.get());
  }

  // Any bytes may come; see valid_utf8.
  void text(Point at, std::string_view string, const TextStyle& style) {
    const std::string valid = valid_utf8(string);
    const double width = text_width(valid, style);
    const double dx = style.align == Align::left ? 0 : style.align == Align::center ? -width / 2 : -width;
    constexpr double cap_height = 0.729;  // of DejaVu Sans, as a share of the size
    const double dy = style.valign == VAlign::baseline
                          ? 0
                          : cap_height * style.size * (style.valign == VAlign::middle ? 0.5 : 1.0);
    cairo_save(cairo_.get());
    cairo_translate(cairo_.get(), at.x, at.y);
    cairo_rotate(cairo_.get(), -style.angle * std::numbers::pi / 180);
    set_color(style.color);
    cairo_move_to(cairo_.get(), dx, dy);
    cairo_show_text(cairo_.get(), valid.c_str());
    cairo_restore(cairo_.get());
    cairo_new_path(cairo_.get());
  }

  // How far the text reaches along its line.
  double text_width(std::string_view string, const TextStyle& style) {
    set_font(style);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo_.get(), valid_utf8(string).c_str(), &extents);
    return extents.x_advance;
  }

  // Runs `body`, showing only what it draws inside `r`.
  template <class Body>
  void clipped(const Rect& r, Body&& body) {
    const SavedState saved(cairo_.get());
    cairo_rectangle(cairo_.get(), r.x, r.y, r.width, r.height);
    cairo_clip(cairo_.get());
    body();
  }

 private:
  struct SavedState {
    explicit SavedState(cairo_t* c) : cairo(c) { cairo_save(c); }
    SavedState(const SavedState&) = delete;
    SavedState& operator=(const SavedState&) = delete;
    ~SavedState() { cairo_restore(cairo); }
    cairo_t* cairo;
  };

  void set_color(const Color& c) { cairo_set_source_rgba(cairo_.get(), c.r, c.g, c.b, c.a); }

  // Where the family is missing, fontconfig falls back to the system's sans-serif.
  void set_font(const TextStyle& style) {
    cairo_select_font_face(cairo_.get(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo_.get(), style.size);
  }

  void draw(const Stroke& stroke) {
    set_color(stroke.color);
    cairo_set_line_width(cairo_.get(), stroke.width);
    cairo_set_dash(cairo_.get(), stroke.dash.data(), static_cast<int>(stroke.dash.size()), 0);
    cairo_stroke(cairo_.get());
  }

  void polygon(Point center, double radius, std::initializer_list<Point> corners) {
    for (const Point& c : corners)
      cairo_line_to(cairo_.get(), center.x + radius * c.x, center.y + radius * c.y);
    cairo_close_path(cairo_.get());
  }

  detail::CairoContext cairo_;
};

using Drawing = std::function<void(Canvas&)>;

// "plots/loss" and ".svg" make "plots/loss.svg"; a dot in the stem belongs to the name.
inline std::filesystem::path with_suffix(std::filesystem::path stem, std::string_view suffix) {
  stem += suffix;
  return stem;
}

namespace detail {

inline void check_drawn(cairo_status_t status, const std::filesystem::path& path) {
  require<FileError>(status == CAIRO_STATUS_SUCCESS, path.string(),
                     ": cannot draw: ", cairo_status_to_string(status));
}

// The drawing on a white ground.
inline void draw_on(cairo_surface_t* surface, double scale, double width, double height,
                    const Drawing& drawing, const std::filesystem::path& path) {
  check_drawn(cairo_surface_status(surface), path);
  Canvas canvas(surface, scale);
  canvas.fill({0, 0, width, height}, white);
  drawing(canvas);
  check_drawn(canvas.status(), path);
}

inline std::string svg_bytes(double width, double height, const Drawing& drawing,
                             const std::filesystem::path& path) {
  std::string bytes;
  const CairoSurface surface(cairo_svg_surface_create_for_stream(append_bytes, &bytes, width, height));
  cairo_svg_surface_set_document_unit(surface.get(), CAIRO_SVG_UNIT_PX);
  draw_on(surface.get(), 1, width, height, drawing, path);
  cairo_surface_finish(surface.get());
  check_drawn(cairo_surface_status(surface.get()), path);
  return bytes;
}

inline std::string png_bytes(double width, double height, const Drawing& drawing,
                             const std::filesystem::path& path) {
  constexpr double scale = 2;
  const auto elements = [&](double length) { return static_cast<int>(scale * length); };
  const CairoSurface surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, elements(width), elements(height)));
  draw_on(surface.get(), scale, width, height, drawing, path);
  std::string bytes;
  check_drawn(cairo_surface_write_to_png_stream(surface.get(), append_bytes, &bytes), path);
  return bytes;
}

}  // namespace detail

// Writes `stem`.svg and `stem`.png, width by height pixels, rounded up (the PNG has twice as many each way),
// on white. Both are complete before either takes its name. `drawing` is called once for each, with the same
// coordinates. ValueError for a size that is not 1 … 16000, FileError if a file cannot be written.
inline void render(const std::filesystem::path& stem, double width, double height, const Drawing& drawing) {
  require<ValueError>(width >= 1 && width <= 16000 && height >= 1 && height <= 16000, stem.string(),
                      ": picture of ", width, " x ", height, " pixels, expected 1 … 16000 each way");
  width = std::ceil(width);
  height = std::ceil(height);
  const auto svg_path = with_suffix(stem, ".svg"), png_path = with_suffix(stem, ".png");
  io::AtomicFile svg(svg_path), png(png_path);
  svg.write(detail::svg_bytes(width, height, drawing, svg_path));
  png.write(detail::png_bytes(width, height, drawing, png_path));
  svg.commit();
  png.commit();
}

}  // namespace tenon::report
