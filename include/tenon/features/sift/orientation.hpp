// SIFT, step 4: dominant orientations (Lowe 2004, section 5; Otero & Rey-Otero 2014, section 4.1).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/patch.hpp"
#include "tenon/features/sift/refine.hpp"

namespace tenon {

namespace detail {

inline constexpr int orientation_bins = 36;

using OrientationHistogram = std::array<float, orientation_bins>;

// Gradient directions around the key point, magnitudes weighted by a Gaussian of 1.5 sigma that ends at three
// deviations. Bin b holds the angles from b/36 to (b+1)/36 of a turn; the histogram is smoothed six times by
// (1,1,1)/3.
inline OrientationHistogram orientation_histogram(const ScaleSpace& space, const Keypoint& k,
                                                  GradientPatch& patch) {
  constexpr int bins = orientation_bins;
  const auto [octave, level] = space.nearest(k.sigma);
  const double spread = 1.5 * k.sigma / octave->step, radius = 3 * spread;
  patch.gather(*octave, level, k.x / octave->step, k.y / octave->step, radius, spread, [&](double dy) {
    const double half = std::sqrt(std::max(radius * radius - dy * dy, 0.0));
    return std::pair(-half, half);
  });
  // Two histograms take turns, so that samples of one direction need not wait for each other.
  float votes[2][bins] = {};
  for (Index i = 0; i < patch.count(); ++i) {
    const int b = static_cast<int>(patch.angle()[i] * (bins / (2 * std::numbers::pi_v<float>)));
    votes[i & 1][std::min(b, bins - 1)] += patch.magnitude()[i];
  }
  OrientationHistogram h;
  for (std::size_t b = 0; b < bins; ++b) h[b] = votes[0][b] + votes[1][b];
  for (int pass = 0; pass < 6; ++pass) {
    float before = h[bins - 1];
    const float first = h[0];
    for (std::size_t b = 0; b < bins; ++b) {
      const float here = h[b], after = b + 1 < bins ? h[b + 1] : first;
      h[b] = (before + here + after) * (1.0f / 3);
      before = here;
    }
  }
  return h;
}

// The angles of the peaks from `ratio` of the highest on, the highest first, at most `most` of them; a
// parabola through three bins refines each. Nothing for an empty histogram.
inline std::vector<float> histogram_peaks(const OrientationHistogram& h, double ratio, int most) {
  constexpr std::size_t bins = orientation_bins;
  const float highest = *std::max_element(h.begin(), h.end());
  if (!(highest > 0)) return {};
  std::vector<std::pair<float, float>> peaks;  // height, angle
  for (std::size_t b = 0; b < bins; ++b) {
    const float left = h[(b + bins - 1) % bins], here = h[b], right = h[(b + 1) % bins];
    if (!(here > left && here > right && here >= static_cast<float>(ratio) * highest)) continue;
    const float shift = 0.5f * (left - right) / (left - 2 * here + right);
    const float turn = (static_cast<float>(b) + 0.5f + shift) / static_cast<float>(bins);
    float angle = (turn - std::floor(turn)) * 2 * std::numbers::pi_v<float>;
    if (angle >= 2 * std::numbers::pi_v<float>) angle = 0;
    peaks.emplace_back(here, angle);
  }
  std::stable_sort(peaks.begin(), peaks.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<float> angles;
  for (const auto& [height, angle] : peaks) {
    if (static_cast<int>(angles.size()) < most) angles.push_back(angle);
  }
  return angles;
}

}  // namespace detail

// Every key point once for each of its orientations, in their order. A place without gradients has none and
// is left out. With `upright` all angles are 0.
inline std::vector<Keypoint> assign_orientations(const ScaleSpace& space,
                                                 const std::vector<Keypoint>& keypoints,
                                                 const SiftOptions& options = {}) {
  if (options.upright) {
    std::vector<Keypoint> same = keypoints;
    for (Keypoint& k : same) k.angle = 0;
    return same;
  }
  std::vector<std::vector<float>> angles(keypoints.size());
  parallel_ranges(static_cast<Index>(keypoints.size()), 32, [&](Index begin, Index end) {
    detail::GradientPatch patch;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const auto histogram = detail::orientation_histogram(space, keypoints[i], patch);
      angles[i] = detail::histogram_peaks(histogram, options.peak_ratio, options.max_orientations);
    }
  });
  std::vector<Keypoint> oriented;
  for (std::size_t i = 0; i < keypoints.size(); ++i) {
    for (const float angle : angles[i]) {
      oriented.push_back(keypoints[i]);
      oriented.back().angle = angle;
    }
  }
  return oriented;
}

}  // namespace tenon
