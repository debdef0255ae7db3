// SIFT, step 3: sub-pixel refinement and the tests of contrast and edges (Lowe 2004, section 4; Otero &
// Rey-Otero 2014, section 3).
//
// A parabola through the 27 values around an extremum gives its place and value; where that place is nearer
// to another pixel or level, the fit is repeated there. All in double: the differences of nearly equal levels
// lose digits.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/extrema.hpp"

namespace tenon {

// A key point before its orientation is known (angle 0), and the pixel it was fitted at.
struct RefinedExtremum {
  Keypoint keypoint;  // response: |D| at the extremum
  Extremum at;
};

namespace detail {

// D and its first and second differences at a pixel.
struct DogDerivatives {
  double value, x, y, s, xx, yy, ss, xy, xs, ys;

  DogDerivatives(const Octave& o, const Extremum& e) {
    const auto d = [&](int ds, Index dy, Index dx) {
      const Index i = (e.y + dy) * o.stride() + e.x + dx;
      return static_cast<double>(o.level(e.level + ds + 1)[i]) -
             static_cast<double>(o.level(e.level + ds)[i]);
    };
    value = d(0, 0, 0);
    x = (d(0, 0, 1) - d(0, 0, -1)) / 2;
    y = (d(0, 1, 0) - d(0, -1, 0)) / 2;
    s = (d(1, 0, 0) - d(-1, 0, 0)) / 2;
    xx = d(0, 0, 1) + d(0, 0, -1) - 2 * value;
    yy = d(0, 1, 0) + d(0, -1, 0) - 2 * value;
    ss = d(1, 0, 0) + d(-1, 0, 0) - 2 * value;
    xy = (d(0, 1, 1) - d(0, 1, -1) - d(0, -1, 1) + d(0, -1, -1)) / 4;
    xs = (d(1, 0, 1) - d(1, 0, -1) - d(-1, 0, 1) + d(-1, 0, -1)) / 4;
    ys = (d(1, 1, 0) - d(1, -1, 0) - d(-1, 1, 0) + d(-1, -1, 0)) / 4;
  }

  // Where the parabola has its extremum, (x,y,s) from the pixel: -H⁻¹g by Cramer's rule. Not finite where H
  // is singular.
  std::array<double, 3> offset() const {
    const double a = yy * ss - ys * ys, b = xs * ys - xy * ss, c = xy * ys - xs * yy;
    const double e = xx * ss - xs * xs, f = xy * xs - xx * ys, g = xx * yy - xy * xy;
    const double det = xx * a + xy * b + xs * c;
    return {-(a * x + b * y + c * s) / det, -(b * x + e * y + f * s) / det, -(c * x + f * y + g * s) / det};
  }

  // Whether the principal curvatures differ by no more than `ratio` (Lowe 2004, section 4.1).
  bool corner(double ratio) const {
    const double trace = xx + yy, det = xx * yy - xy * xy;
    return det > 0 && trace * trace * ratio < (ratio + 1) * (ratio + 1) * det;
  }
};

}  // namespace detail

// The key point at an extremum; nothing where the fit leaves the picture or does not settle in five steps, or
// where the contrast or edge test fails.
inline std::optional<RefinedExtremum> refine_extremum(const ScaleSpace& space, Extremum e,
                                                      const SiftOptions& options = {}) {
  const Octave& octave = space.octaves[static_cast<std::size_t>(e.octave)];
  constexpr double near = 0.6;  // more than a half, lest the fit swing between two pixels
  const auto move = [](double offset, bool possible) {
    return possible && std::abs(offset) >= near ? (offset > 0 ? 1 : -1) : 0;
  };
  for (int step = 1;; ++step) {
    const detail::DogDerivatives d(octave, e);
    if (step == 1 && !d.corner(options.edge)) return {};
    const auto [x, y, s] = d.offset();
    const double farthest = std::max({std::abs(x), std::abs(y), std::abs(s)});
    if (!(farthest < 1e3)) return {};
    const int dx = move(x, x > 0 ? e.x < octave.width - 2 : e.x > 1);
    const int dy = move(y, y > 0 ? e.y < octave.height - 2 : e.y > 1);
    const int ds = options.refine_level ? move(s, s > 0 ? e.level < space.scales : e.level > 1) : 0;
    if (step < 5 && (dx != 0 || dy != 0 || ds != 0)) {
      e.x += dx;
      e.y += dy;
      e.level += ds;
      continue;
    }
    const double value = d.value + 0.5 * (d.x * x + d.y * y + d.s * s);
    if (farthest >= options.max_offset || !(std::abs(value) >= detail::contrast_limit(options))) return {};
    const double blur = space.sigma * octave.step * std::exp2((e.level + s) / space.scales);
    const Keypoint k{.x = static_cast<float>((static_cast<double>(e.x) + x) * octave.step),
                     .y = static_cast<float>((static_cast<double>(e.y) + y) * octave.step),
                     .sigma = static_cast<float>(blur),
                     .angle = 0,
                     .response = static_cast<float>(std::abs(value))};
    return RefinedExtremum{k, e};
  }
}

// Those extrema that pass, in their order; several that arrive at one pixel count once.
inline std::vector<RefinedExtremum> refine_extrema(const ScaleSpace& space,
                                                   const std::vector<Extremum>& extrema,
                                                   const SiftOptions& options = {}) {
  std::vector<std::optional<RefinedExtremum>> refined(extrema.size());
  parallel_ranges(static_cast<Index>(extrema.size()), 256, [&](Index begin, Index end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      refined[i] = refine_extremum(space, extrema[i], options);
    }
  });
  std::vector<RefinedExtremum> kept;
  for (const auto& r : refined) {
    if (r) kept.push_back(*r);
  }
  const auto place = [](const RefinedExtremum& r) {
    return std::tuple(r.at.octave, r.at.y, r.at.level, r.at.x);
  };
  std::stable_sort(kept.begin(), kept.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const auto same = [](const RefinedExtremum& a, const RefinedExtremum& b) { return a.at == b.at; };
  kept.erase(std::unique(kept.begin(), kept.end(), same), kept.end());
  return kept;
}

}  // namespace tenon
