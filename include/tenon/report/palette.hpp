// Colours that stay apart for colour-blind readers, and a scale whose order is seen in grey as well.
//
// Curves: Okabe & Ito 2008, "Color universal design". Matrices: a path through Oklab (Ottosson 2020), a space
// in which equal steps look equal; lightness falls evenly, hue turns from yellow to blue.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace tenon::report {

// sRGB components and opacity, each 0 … 1.
struct Color {
  double r = 0, g = 0, b = 0, a = 1;

  friend bool operator==(const Color&, const Color&) = default;
};

constexpr Color rgb(unsigned hex) {
  return {((hex >> 16) & 0xFF) / 255.0, ((hex >> 8) & 0xFF) / 255.0, (hex & 0xFF) / 255.0, 1};
}

inline constexpr Color black = rgb(0x000000), white = rgb(0xFFFFFF);
inline constexpr Color ink = rgb(0x222222), faint_ink = rgb(0x666666), grid_grey = rgb(0xE2E2E2);

// The i-th of eight; they repeat. Ordered so that the first ones differ most and the yellow, which is weak on
// white, comes last.
inline Color categorical(std::size_t i) {
  static constexpr std::array colors{rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xCC79A7),
                                     rgb(0xE69F00), rgb(0x56B4E9), rgb(0x000000), rgb(0xF0E442)};
  return colors[i % colors.size()];
}

namespace detail {

inline double srgb_encode(double linear) {
  linear = std::clamp(linear, 0.0, 1.0);
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
}

inline double srgb_decode(double encoded) {
  return encoded <= 0.04045 ? encoded / 12.92 : std::pow((encoded + 0.055) / 1.055, 2.4);
}

}  // namespace detail

// Oklab in polar form to sRGB; what lies outside sRGB is clamped. Lightness 0 … 1, hue in degrees.
inline Color oklch(double lightness, double chroma, double hue) {
  const double a = chroma * std::cos(hue * std::numbers::pi / 180);
  const double b = chroma * std::sin(hue * std::numbers::pi / 180);
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  return {detail::srgb_encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          detail::srgb_encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          detail::srgb_encode(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s), 1};
}

// t in 0 … 1 (clamped): near-white through green to dark blue.
inline Color sequential(double t) {
  t = std::isnan(t) ? 0 : std::clamp(t, 0.0, 1.0);
  const double lightness = 0.985 - 0.665 * t;
  const double chroma = 0.012 + 0.095 * std::sin(0.85 * std::numbers::pi * std::pow(t, 0.7));
  return oklch(lightness, chroma, 110 + 155 * t);
}

// Relative luminance, 0 (black) … 1 (white), as WCAG 2.1 defines it.
inline double luminance(const Color& c) {
  return 0.2126 * detail::srgb_decode(c.r) + 0.7152 * detail::srgb_decode(c.g) +
         0.0722 * detail::srgb_decode(c.b);
}

// Contrast of two colours, 1 … 21 (WCAG 2.1).
inline double contrast(const Color& x, const Color& y) {
  const auto [low, high] = std::minmax({luminance(x), luminance(y)});
  return (high + 0.05) / (low + 0.05);
}

// Black or white for text on the background: white as soon as its contrast is good enough for large text (3,
// by WCAG 2.1) with some to spare, for on saturated middle tones it reads better than the formula says.
inline Color readable_on(const Color& background) {
  return contrast(white, background) >= 3.5 ? white : black;
}

}  // namespace tenon::report
