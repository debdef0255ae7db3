// The gradients around a key point, gathered into contiguous arrays for the orientation and the descriptor.
//
// Rows are copied first, whole vectors at a time; one long loop then turns all samples into polar form. Long
// plain loops over arrays are what compilers vectorise.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tenon/features/sift/scale_space.hpp"
#include "tenon/image/gradient.hpp"

namespace tenon::detail {

// Arrays of one value a sample; reused from key point to key point.
class GradientPatch {
 public:
  // Samples within `radius` rows of the centre (x,y), in pixels of the octave, weighted by a Gaussian of
  // deviation `spread`. row_range(dy) -> the first and last dx of the row that lies dy below the centre.
  // Pixels at the border have no central difference and are left out.
  template <class RowRange>
  void gather(const Octave& octave, int level, double x, double y, double radius, double spread,
              const RowRange& row_range) {
    count_ = 0;
    const auto limit = [](double v, Index high) {  // any double, also far outside
      return static_cast<Index>(std::clamp(v, 0.0, static_cast<double>(high)));
    };
    const Index top = std::max<Index>(1, limit(std::ceil(y - radius), octave.height));
    const Index bottom = std::min(octave.height - 2, limit(y + radius, octave.height));
    const Index left = std::max<Index>(1, limit(std::ceil(x - radius), octave.width));
    const Index right = std::min(octave.width - 2, limit(x + radius, octave.width));
    if (top > bottom || left > right || y + radius < 1 || x + radius < 1) return;
    reserve((bottom - top + 1) * (right - left + 1) + 2 * group);
    gaussian_weights(left, right, x, spread, columns_);
    gaussian_weights(top, bottom, y, spread, rows_);
    for (Index i = top; i <= bottom; ++i) {
      const double dy = static_cast<double>(i) - y;
      const auto [from, to] = row_range(dy);
      const Index first = std::max(left, limit(std::ceil(x + from), octave.width));
      const Index last = std::min(right, limit(x + to, octave.width));
      if (first > last || x + to < 0) continue;
      gather_row(octave, octave.level(level) + i * octave.stride(), first, last, left,
                 static_cast<float>(static_cast<double>(first) - x), static_cast<float>(dy),
                 rows_[static_cast<std::size_t>(i - top)]);
    }
    for (Index i = 0; i < count_; ++i) {
      const float gx = a_[i], gy = b_[i];
      a_[i] = weight_[i] * image::fast_sqrt(gx * gx + gy * gy);
      b_[i] = image::fast_angle(gy, gx);
    }
  }

  Index count() const { return count_; }
  const float* magnitude() const { return a_; }  // times the Gaussian
  const float* angle() const { return b_; }      // in [0, 2π)
  const float* dx() const { return dx_; }        // from the centre
  const float* dy() const { return dy_; }

 private:
  static constexpr Index group = 16;

  void reserve(Index count) {
    if (count <= capacity_) return;
    capacity_ = count + count / 2;
    memory_.resize(static_cast<std::size_t>(5 * capacity_));
    float** const arrays[] = {&a_, &b_, &dx_, &dy_, &weight_};
    Index offset = 0;
    for (float** array : arrays) {
      *array = memory_.data() + offset;
      offset += capacity_;
    }
  }

  // The Gaussian at positions first … last around a centre.
  static void gaussian_weights(Index first, Index last, double centre, double spread,
                               std::vector<float>& weights) {
    weights.resize(static_cast<std::size_t>(last - first + 1 + group));
    const auto scale = static_cast<float>(-1 / (2 * spread * spread));
    const auto start = static_cast<float>(static_cast<double>(first) - centre);
    const auto n = static_cast<int>(last - first + 1);
    float* const out = weights.data();
    for (int i = 0; i < n; ++i) {
      const float d = start + static_cast<float>(i);
      out[i] = image::fast_exp(scale * d * d);
    }
  }

  void gather_row(const Octave& octave, const float* __restrict row, Index first, Index last, Index left,
                  float dx, float dy, float weight) {
    typedef float Lanes __attribute__((vector_size(64), aligned(4)));
    constexpr Lanes ramp = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const auto from = [](const float* p) { return reinterpret_cast<const Lanes*>(p); };
    const auto to = [](float* p) { return reinterpret_cast<Lanes*>(p); };
    const float *const up = row - octave.stride(), *const down = row + octave.stride();
    const float* const columns = columns_.data() - left;
    const Index n = last - first + 1;
    for (Index j = 0; j < n; j += group) {  // whole groups: what is too much, the next row overwrites
      const Index at = first + j, out = count_ + j;
      const Lanes *const right = from(row + at + 1), *const before = from(row + at - 1);
      const Lanes *const below = from(down + at), *const above = from(up + at), *const w = from(columns + at);
      Lanes *const gx = to(a_ + out), *const gy = to(b_ + out), *const weights = to(weight_ + out);
      Lanes *const x = to(dx_ + out), *const y = to(dy_ + out);
      *gx = *right - *before;
      *gy = *below - *above;
      *weights = weight * *w;
      *x = ramp + (dx + static_cast<float>(static_cast<int>(j)));
      *y = Lanes{} + dy;
    }
    count_ += n;
  }

  std::vector<float> memory_, columns_, rows_;
  Index capacity_ = 0, count_ = 0;
  float *a_ = nullptr, *b_ = nullptr, *dx_ = nullptr, *dy_ = nullptr, *weight_ = nullptr;
};

}  // namespace tenon::detail
