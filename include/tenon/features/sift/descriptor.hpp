// SIFT, step 5: the descriptor (Lowe 2004, section 6; Otero & Rey-Otero 2014, section 4.2).
//
// 4×4 cells in a square that is turned with the key point, 8 directions each, filled with trilinear weights.
// Component (cy·4 + cx)·8 + b: cx runs along the key point's direction, cy a quarter turn from it (from +x toward
// +y), b counts eighths of a turn from the key point's direction in the same sense.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/patch.hpp"

namespace tenon {

inline constexpr Index sift_length = 128;

namespace detail {

// L2-normalised, large components cut, normalised again; for RootSIFT then the square roots of the L1-normalised
// components, whose L2 norm is 1 too. All 0 stays 0.
inline void normalise_descriptor(float* d, double clamp, bool root) {
  const auto sum = [&](const auto& term) {
    double total = 0;
    for (Index i = 0; i < sift_length; ++i) total += static_cast<double>(term(d[i]));
    return total;
  };
  const auto square = [](float v) { return v * v; };
  const double norm = std::sqrt(sum(square));
  if (!(norm > 1e-12)) {
    std::fill_n(d, sift_length, 0.0f);
    return;
  }
  const auto most = static_cast<float>(clamp), scale = static_cast<float>(1 / norm);
  for (Index i = 0; i < sift_length; ++i) {
    const float v = d[i] * scale;
    d[i] = v < most ? v : most;
  }
  const double rest = root ? sum([](float v) { return v; }) : std::sqrt(sum(square));
  const auto second = static_cast<float>(1 / rest);
  for (Index i = 0; i < sift_length; ++i) d[i] *= second;
  for (Index i = 0; root && i < sift_length; ++i) d[i] = image::fast_sqrt(d[i]);
}

// For each row of pixels: which of them lie in the square |u| < half, |v| < half, where (u,v) are (dx,dy) turned
// by the angle with this cosine and sine.
struct TurnedSquare {
  double half, cosine, sine;

  std::pair<double, double> operator()(double dy) const {
    double from = -1e9, to = 1e9;
    const auto cut = [&](double slope, double offset) {  // |slope·dx + offset| < half
      if (std::abs(slope) < 1e-9) {
        if (std::abs(offset) >= half) to = -1e9;
        return;
      }
      const double a = (-half - offset) / slope, b = (half - offset) / slope;
      from = std::max(from, std::min(a, b));
      to = std::min(to, std::max(a, b));
    };
    cut(cosine, sine * dy);
    cut(-sine, cosine * dy);
    return {from, to};
  }
};

// Working memory of one thread.
class Describer {
 public:
  Describer(const ScaleSpace& space, const SiftOptions& options) : space_(space), options_(options) {}

  void describe(const Keypoint& k, float* out) {
    const auto [octave, level] = space_.nearest(k.sigma);
    const double cell = options_.magnification * k.sigma / octave->step;
    const double cosine = std::cos(static_cast<double>(k.angle)), sine = std::sin(static_cast<double>(k.angle));
    const double half = 2.5 * cell;  // a sample reaches half a cell beyond the square of 4×4
    const double radius = half * (std::abs(cosine) + std::abs(sine));
    patch_.gather(*octave, level, k.x / octave->step, k.y / octave->step, radius, 2 * cell,
                  TurnedSquare{half, cosine, sine});
    locate(static_cast<float>(cosine / cell), static_cast<float>(sine / cell), k.angle);
    scatter(out);
    normalise_descriptor(out, options_.clamp, options_.root);
  }

 private:
  // The histogram has a frame of cells around the 4×4 that is thrown away; cells of a row lie side by side.
  static constexpr int side = 6, bins = 8, cells = side * side * bins;

  // Where each sample falls: its first cell, its place between cells, its direction in bins.
  void locate(float cosine, float sine, float angle) {
    const Index n = patch_.count();
    if (static_cast<Index>(cell_.size()) < n) {
      cell_.resize(static_cast<std::size_t>(n + n / 2));
      for (auto* v : {&along_, &bin_, &upper_, &lower_}) v->resize(cell_.size());
    }
    const float *__restrict dx = patch_.dx(), *__restrict dy = patch_.dy();
    const float *__restrict theta = patch_.angle(), *__restrict magnitude = patch_.magnitude();
    int* __restrict cell = cell_.data();
    float *__restrict along = along_.data(), *__restrict bin = bin_.data();
    float *__restrict upper = upper_.data(), *__restrict lower = lower_.data();
    constexpr float per_radian = bins / (2 * std::numbers::pi_v<float>);
    for (Index i = 0; i < n; ++i) {
      float u = cosine * dx[i] + sine * dy[i] + 2.5f, v = cosine * dy[i] - sine * dx[i] + 2.5f;
      u = u > 0 ? u : 0.0f;
      v = v > 0 ? v : 0.0f;
      u = u < 4.9999f ? u : 4.9999f;
      v = v < 4.9999f ? v : 4.9999f;
      const int cx = static_cast<int>(u), cy = static_cast<int>(v);
      const float below = magnitude[i] * (v - static_cast<float>(cy));
      float turn = (theta[i] - angle) * per_radian;
      turn = turn < 0 ? turn + bins : turn;
      cell[i] = (cy * side + cx) * bins;
      along[i] = u - static_cast<float>(cx);
      bin[i] = turn;
      lower[i] = below;
      upper[i] = magnitude[i] - below;
    }
  }

  // Adds every sample to its 2×2×2 bins. Two cells of a row are 16 floats side by side: one vector holds both,
  // with all their directions. Two histograms take turns, so that samples of one cell need not wait for each other.
  void scatter(float* out) {
    typedef float Lanes __attribute__((vector_size(64), aligned(4)));
    typedef std::int32_t Bits __attribute__((vector_size(64), aligned(4)));
    constexpr Lanes direction = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    constexpr Lanes start = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    constexpr Lanes slope = {-1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1};
    alignas(64) float histogram[2][cells + 16] = {};
    for (Index i = 0; i < patch_.count(); ++i) {
      const auto n = static_cast<std::size_t>(i);
      Lanes d = direction - bin_[n];
      d = reinterpret_cast<Lanes>(reinterpret_cast<Bits>(d) & 0x7FFFFFFF);
      const Lanes around = 8.0f - d;
      d = 1.0f - (d < around ? d : around);  // circular distance
      d = d > 0.0f ? d : Lanes{};
      d *= start + slope * along_[n];
      float* const h = histogram[i & 1] + cell_[n];
      *reinterpret_cast<Lanes*>(h) += d * upper_[n];
      *reinterpret_cast<Lanes*>(h + side * bins) += d * lower_[n];
    }
    for (int cy = 0; cy < 4; ++cy) {
      const int from = ((cy + 1) * side + 1) * bins;
      for (int i = 0; i < 4 * bins; ++i) out[cy * 4 * bins + i] = histogram[0][from + i] + histogram[1][from + i];
    }
  }

  const ScaleSpace& space_;
  const SiftOptions& options_;
  GradientPatch patch_;
  std::vector<int> cell_;
  std::vector<float> along_, bin_, upper_, lower_;
};

}  // namespace detail

// Key points -> (n,128), row i for keypoints[i]; L2 norm 1, or all 0 where the picture has no gradients. The row
// depends on the picture, the key point and the options only. ValueError for a frame that is not finite, or whose
// sigma is not positive.
inline Tensor<float> describe(const ScaleSpace& space, std::span<const Keypoint> keypoints,
                              const SiftOptions& options = {}) {
  for (std::size_t i = 0; i < keypoints.size(); ++i) {
    const Keypoint& k = keypoints[i];
    const bool finite = std::isfinite(k.x) && std::isfinite(k.y) && std::isfinite(k.sigma) && std::isfinite(k.angle);
    require<ValueError>(finite && k.sigma > 0, "sift: key point ", i, " is x ", k.x, ", y ", k.y, ", sigma ", k.sigma,
                        ", angle ", k.angle, "; expected finite numbers and a positive sigma");
  }
  // By octave and row: neighbours in the picture share cache lines.
  std::vector<std::pair<const float*, Index>> order;
  for (std::size_t i = 0; i < keypoints.size(); ++i) {
    const auto [octave, level] = space.nearest(keypoints[i].sigma);
    const double row = std::clamp(keypoints[i].y / octave->step, 0.0, static_cast<double>(octave->height));
    order.emplace_back(octave->level(level) + static_cast<Index>(row) * octave->stride(), static_cast<Index>(i));
  }
  std::sort(order.begin(), order.end());
  const auto count = static_cast<Index>(keypoints.size());
  Tensor<float> descriptors({count, sift_length});
  parallel_ranges(count, 32, [&](Index begin, Index end) {
    detail::Describer describer(space, options);
    for (Index i = begin; i < end; ++i) {
      const Index which = order[static_cast<std::size_t>(i)].second;
      Keypoint k = keypoints[static_cast<std::size_t>(which)];
      k.angle = std::remainder(k.angle, 2 * std::numbers::pi_v<float>);
      if (k.angle < 0) k.angle += 2 * std::numbers::pi_v<float>;
      describer.describe(k, descriptors.data() + which * sift_length);
    }
  });
  return descriptors;
}

}  // namespace tenon
