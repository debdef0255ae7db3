// Pictures of key points and of matches.
#pragma once

#include <tenon/features/keypoint.hpp>
#include <tenon/features/match.hpp>
#include <tenon/image/colour.hpp>
#include <tenon/image/draw.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace programs {

using tenon::Index;
using tenon::Tensor;

// Each key point as a circle of three times its scale, with a hand that shows its direction; the hue turns
// with the scale, octave by octave. The strongest come last, on top.
inline void draw_keypoints(Tensor<std::uint8_t>& picture, std::span<const tenon::Keypoint> keypoints) {
  using namespace tenon;
  for (std::size_t i = keypoints.size(); i-- > 0;) {
    const Keypoint& p = keypoints[i];
    const double radius = std::max(1.5, 3.0 * p.sigma);
    const image::Pen pen{.color = image::hue_color(0.12 * std::log2(std::max(p.sigma, 0.5f)) + 0.08),
                         .width = 1.2,
                         .opacity = 0.85};
    image::draw_circle(picture, p.x, p.y, radius, pen);
    image::draw_line(picture, p.x, p.y, p.x + radius * std::cos(p.angle), p.y + radius * std::sin(p.angle),
                     pen);
  }
}

// Both pictures side by side; lines join the matches, green for those that agree with the homography, faint
// red for the others. At most `most` lines of each kind are drawn, spread evenly.
inline Tensor<std::uint8_t> draw_matches(const Tensor<std::uint8_t>& a, const Tensor<std::uint8_t>& b,
                                         const tenon::Features& of_a, const tenon::Features& of_b,
                                         std::span<const tenon::Match> matches,
                                         const std::vector<bool>& agree, std::size_t most = 250) {
  using namespace tenon;
  Tensor<std::uint8_t> picture = image::side_by_side(a, b);
  const auto shift = static_cast<double>(a.size(1));
  for (const bool kind : {false, true}) {
    const auto count = static_cast<std::size_t>(std::count(agree.begin(), agree.end(), kind));
    std::size_t seen = 0;
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (agree[i] != kind) continue;
      const bool shown = count <= most || seen * most / count != (seen + 1) * most / count;
      ++seen;
      if (!shown) continue;
      const Keypoint &p = of_a.keypoints[static_cast<std::size_t>(matches[i].a)],
                     &q = of_b.keypoints[static_cast<std::size_t>(matches[i].b)];
      const image::Pen pen = kind ? image::Pen{.color = {40, 230, 90}, .width = 1, .opacity = 0.75}
                                  : image::Pen{.color = {240, 60, 40}, .width = 1, .opacity = 0.3};
      image::draw_line(picture, p.x, p.y, q.x + shift, q.y, pen);
      for (const auto& [x, y] : {std::array<double, 2>{p.x, p.y}, std::array<double, 2>{q.x + shift, q.y}}) {
        image::draw_circle(picture, x, y, 2.5, pen);
      }
    }
  }
  return picture;
}

// A line of text over the picture's top left corner, on a dark ground.
inline void draw_label(Tensor<std::uint8_t>& picture, std::string_view label) {
  using namespace tenon;
  const image::TextOptions style{.color = {255, 255, 255}, .size = 11};
  image::fill_box(picture, 0, 0, image::text_width(label, style) + 15, 26,
                  {.color = {0, 0, 0}, .opacity = 0.6});
  image::draw_text(picture, 8, 8, label, style);
}

}  // namespace programs
