// SIFT, step 5: the descriptor (Lowe 2004, section 6; Otero & Rey-Otero 2014, section 4.2).
//
// 4×4 cells in a square that is turned with the key point, 8 directions each, filled with trilinear weights.
// Component (cy·4 + cx)·8 + b: cx runs along the key point's direction, cy a quarter turn from it (from +x
// toward +y), b counts eighths of a turn from the key point's direction in the same sense.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/patch.hpp"

namespace tenon {

inline constexpr Index sift_length = 128;

namespace detail {

// L2-normalised, large components cut, normalised again; for RootSIFT then the square roots of the
// L1-normalised components, whose L2 norm is 1 too. All 0 stays 0.
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

// For each row of pixels: which of them lie in the square |u| < half, |v| < half, where (u,v) are (dx,dy)
// turned by an angle: u = c·dx + s·dy, v = c·dy - s·dx.
class TurnedSquare {
 public:
  TurnedSquare(double half, double cosine, double sine)
      : half_(half), cosine_(cosine), sine_(sine), over_cosine_(inverse(cosine)), over_sine_(inverse(sine)) {}

  std::pair<double, double> operator()(double dy) const {
    const auto [a, b] = between(sine_ * dy, over_cosine_);
    const auto [c, d] = between(-cosine_ * dy, over_sine_);
    return {std::max(a, c), std::min(b, d)};
  }

 private:
  static double inverse(double v) { return std::abs(v) < 1e-9 ? 0 : 1 / v; }

  // The dx with |slope·dx + offset| < half.
  std::pair<double, double> between(double offset, double over_slope) const {
    if (over_slope == 0) return std::abs(offset) < half_ ? std::pair(-1e9, 1e9) : std::pair(1e9, -1e9);
    const double a = (-half_ - offset) * over_slope, b = (half_ - offset) * over_slope;
    return {std::min(a, b), std::max(a, b)};
  }

  double half_, cosine_, sine_, over_cosine_, over_sine_;
};

// Working memory of one thread.
class Describer {
 public:
  Describer(const ScaleSpace& space, const SiftOptions& options) : space_(space), options_(options) {}

  void describe(const Keypoint& k, float* out) {
    const auto [octave, level] = space_.nearest(k.sigma);
    const double cell = options_.magnification * k.sigma / octave->step;
    const double cosine = std::cos(static_cast<double>(k.angle)),
                 sine = std::sin(static_cast<double>(k.angle));
    const double half = 2.5 * cell;  // a sample reaches half a cell beyond the square of 4×4
    const double radius = half * (std::abs(cosine) + std::abs(sine));
    patch_.gather(*octave, level, k.x / octave->step, k.y / octave->step, radius, 2 * cell,
                  TurnedSquare(half, cosine, sine));
    locate(static_cast<float>(cosine / cell), static_cast<float>(sine / cell), k.angle);
    scatter(out);
    normalise_descriptor(out, options_.clamp, options_.root);
  }

 private:
  // The histogram has a frame of cells around the 4×4 that is thrown away; cells of a row lie side by side.
  static constexpr int side = 6, bins = 8, cells = side * side * bins;
  static constexpr Index streams = 4;

  // Where each sample falls: its first cell, its place between cells, its direction in bins.
  void locate(float cosine, float sine, float angle) {
    typedef float Lanes __attribute__((vector_size(64), aligned(4)));
    typedef std::int32_t Whole __attribute__((vector_size(64), aligned(4)));
    constexpr Index lanes = 16;
    const Index n = patch_.count(), room = n + lanes;
    if (static_cast<Index>(cell_.size()) < room) {
      cell_.resize(static_cast<std::size_t>(room + room / 2));
      for (auto* v : {&bin_, &here_, &right_, &below_, &across_}) v->resize(cell_.size());
    }
    constexpr float per_radian = bins / (2 * std::numbers::pi_v<float>);
    for (Index i = 0; i < n;
         i += lanes) {  // whole groups: the arrays are long enough, the excess is not used
      const auto from = [i](const float* p) { return reinterpret_cast<const Lanes*>(p + i); };
      const auto to = [i](auto& v) { return reinterpret_cast<Lanes*>(v.data() + i); };
      const Lanes *const dx = from(patch_.dx()), *const dy = from(patch_.dy());
      const Lanes u = cosine * *dx + sine * *dy + 2.5f, v = cosine * *dy - sine * *dx + 2.5f;
      Whole cx = __builtin_convertvector(u, Whole), cy = __builtin_convertvector(v, Whole);
      cx = cx < 0 ? Whole{} : cx;  // rounding may carry a sample a hair's breadth out of the square
      cy = cy < 0 ? Whole{} : cy;
      cx = cx > side - 2 ? Whole{} + (side - 2) : cx;
      cy = cy > side - 2 ? Whole{} + (side - 2) : cy;
      const Lanes *const angles = from(patch_.angle()), *const magnitude = from(patch_.magnitude());
      const Lanes turn = (*angles - angle) * per_radian;
      const Lanes column = u - __builtin_convertvector(cx, Lanes),
                  row = v - __builtin_convertvector(cy, Lanes);
      const Lanes low = *magnitude * row, high = *magnitude - low;
      Whole* const cell = reinterpret_cast<Whole*>(cell_.data() + i);
      Lanes *const bin = to(bin_), *const here = to(here_), *const right = to(right_);
      Lanes *const below = to(below_), *const across = to(across_);
      *cell = (cy * side + cx) * bins;
      *bin = turn < 0.0f ? turn + static_cast<float>(bins) : turn;
      *right = high * column;
      *here = high - *right;
      *across = low * column;
      *below = low - *across;
    }
    for (Index i = n; i < n + streams; ++i) {
      const auto k = static_cast<std::size_t>(i);
      cell_[k] = 0;
      bin_[k] = here_[k] = right_[k] = below_[k] = across_[k] = 0;
    }
  }

  // Adds every sample to its 2×2×2 bins: a vector holds the eight directions of a cell. Samples from four
  // parts of the patch take turns: neighbours fall into the same cells and would wait for each other.
  void scatter(float* out) {
    typedef float Lanes __attribute__((vector_size(32), aligned(4)));
    typedef std::int32_t Bits __attribute__((vector_size(32), aligned(4)));
    constexpr Lanes direction = {0, 1, 2, 3, 4, 5, 6, 7};
    alignas(64) float histogram[cells] = {};
    const Index part = (patch_.count() + streams - 1) / streams;
    for (Index i = 0; i < part; ++i) {
      for (Index stream = 0; stream < streams; ++stream) {
        const auto n = static_cast<std::size_t>(stream * part + i);
        Lanes d = direction - bin_[n];
        d = reinterpret_cast<Lanes>(reinterpret_cast<Bits>(d) & 0x7FFFFFFF);
        const Lanes around = 8.0f - d;
        d = 1.0f - (d < around ? d : around);  // circular distance
        d = d > 0.0f ? d : Lanes{};
        Lanes* const h = reinterpret_cast<Lanes*>(histogram + cell_[n]);
        h[0] += d * here_[n];
        h[1] += d * right_[n];
        h[side] += d * below_[n];
        h[side + 1] += d * across_[n];
      }
    }
    for (int cy = 0; cy < 4; ++cy)
      std::copy_n(histogram + ((cy + 1) * side + 1) * bins, 4 * bins, out + cy * 4 * bins);
  }

  const ScaleSpace& space_;
  const SiftOptions& options_;
  GradientPatch patch_;
  std::vector<int> cell_;
  std::vector<float> bin_, here_, right_, below_, across_;  // direction; weights of the four cells
};

}  // namespace detail

// Key points -> (n,128), row i for keypoints[i]; L2 norm 1, or all 0 where the picture has no gradients. The
// row depends on the picture, the key point and the options only. ValueError for a frame that is not finite
// or beyond 1e9, or whose sigma is not positive.
inline Tensor<float> describe(const ScaleSpace& space, std::span<const Keypoint> keypoints,
                              const SiftOptions& options = {}) {
  for (std::size_t i = 0; i < keypoints.size(); ++i) {
    const Keypoint& k = keypoints[i];
    // Within these bounds no step below leaves the range of a float.
    constexpr float most = 1e9f, least = 1e-10f;
    const bool sound = std::abs(k.x) <= most && std::abs(k.y) <= most && k.sigma >= least &&
                       k.sigma <= most && std::isfinite(k.angle);
    require<ValueError>(sound, "sift: key point ", i, " is x ", k.x, ", y ", k.y, ", sigma ", k.sigma,
                        ", angle ", k.angle,
                        "; expected x and y within ±1e9, a sigma of 1e-10 to 1e9, a finite angle");
  }
  // By octave and row: neighbours in the picture share cache lines.
  std::vector<std::pair<const float*, Index>> order;
  for (std::size_t i = 0; i < keypoints.size(); ++i) {
    const auto [octave, level] = space.nearest(keypoints[i].sigma);
    const double row = std::clamp(keypoints[i].y / octave->step, 0.0, static_cast<double>(octave->height));
    order.emplace_back(octave->level(level) + static_cast<Index>(row) * octave->stride(),
                       static_cast<Index>(i));
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
