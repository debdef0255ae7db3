// SIFT, step 2: extrema of the difference of Gaussians (Lowe 2004, section 3.1).
//
// D(s) = level s+1 - level s is never stored: each thread keeps three rows of it, with the largest and the smallest
// of three neighbours in a row, and compares row by row.
#pragma once

#include <cmath>
#include <vector>

#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/features/sift/scale_space.hpp"

namespace tenon {

// A pixel of D(level) that is larger, or smaller, than its 26 neighbours.
struct Extremum {
  int octave = 0;  // position in ScaleSpace::octaves
  int level = 1;   // 1 … scales
  Index y = 0, x = 0;

  friend auto operator<=>(const Extremum&, const Extremum&) = default;
};

namespace detail {

// The least |D| at the refined extremum: what `contrast` is at 3 scales an octave, for the actual number.
inline double contrast_limit(const SiftOptions& o) {
  return o.contrast * (std::exp2(1.0 / o.scales) - 1) / (std::exp2(1.0 / 3) - 1);
}

// Rows of D and of what the comparison needs, `levels` = scales + 2 of them at three heights.
class DogRows {
 public:
  DogRows(const Octave& octave, int scales)
      : octave_(octave), levels_(scales + 2), stride_(octave.stride()),
        memory_((Index{3} * 3 + 2) * levels_ * stride_) {}

  // Row y of D and the extremes of its three neighbours in x. Replaces row y-3.
  void load(Index y) {
    const Index width = octave_.width;
    for (int l = 0; l < levels_; ++l) {
      const float* __restrict low = octave_.level(l) + y * stride_;
      const float* __restrict high = octave_.level(l + 1) + y * stride_;
      float* __restrict d = row(0, l, y);
      for (Index x = 0; x < width; ++x) d[x] = high[x] - low[x];
      float* __restrict most = row(1, l, y);
      float* __restrict least = row(2, l, y);
      for (Index x = 1; x < width - 1; ++x) {
        const float a = d[x - 1], b = d[x], c = d[x + 1];
        const float ab = a > b ? a : b, under = a < b ? a : b;
        most[x] = ab > c ? ab : c;
        least[x] = under < c ? under : c;
      }
    }
  }

  // The extremes over 3×3 pixels around row y, every level.
  void combine(Index y) {
    for (int l = 0; l < levels_; ++l) {
      const float *__restrict a = row(1, l, y - 1), *__restrict b = row(1, l, y), *__restrict c = row(1, l, y + 1);
      const float *__restrict p = row(2, l, y - 1), *__restrict q = row(2, l, y), *__restrict r = row(2, l, y + 1);
      float* __restrict most = largest(l);
      float* __restrict least = smallest(l);
      for (Index x = 1; x < octave_.width - 1; ++x) {
        const float ab = a[x] > b[x] ? a[x] : b[x], pq = p[x] < q[x] ? p[x] : q[x];
        most[x] = ab > c[x] ? ab : c[x];
        least[x] = pq < r[x] ? pq : r[x];
      }
    }
  }

  // marks[x] is not 0 where |D(s)| > limit and no neighbour exceeds it; a neighbour may equal it.
  void mark(int s, Index y, float limit, std::int32_t* __restrict marks) {
    const float *__restrict d = row(0, s, y), *__restrict a = largest(s - 1), *__restrict b = largest(s),
                *__restrict c = largest(s + 1);
    const float *__restrict p = smallest(s - 1), *__restrict q = smallest(s), *__restrict r = smallest(s + 1);
    for (Index x = 1; x < octave_.width - 1; ++x) {
      const float v = d[x];
      const int top = (v > limit) & (v >= a[x]) & (v >= b[x]) & (v >= c[x]);
      const int bottom = (v < -limit) & (v <= p[x]) & (v <= q[x]) & (v <= r[x]);
      marks[x] = top | bottom;
    }
  }

  // Whether no neighbour equals the marked pixel.
  bool strict(int s, Index y, Index x) {
    const float v = row(0, s, y)[x];
    int equal = 0;
    for (int l = s - 1; l <= s + 1; ++l) {
      for (Index i = y - 1; i <= y + 1; ++i) {
        for (Index j = x - 1; j <= x + 1; ++j) equal += row(0, l, i)[j] == v;
      }
    }
    return equal == 1;
  }

 private:
  float* row(Index kind, Index l, Index y) {
    return memory_.data() + ((kind * 3 + y % 3) * levels_ + l) * stride_;
  }
  float* largest(Index l) { return memory_.data() + (Index{9} * levels_ + l) * stride_; }
  float* smallest(Index l) { return memory_.data() + (Index{10} * levels_ + l) * stride_; }

  const Octave& octave_;
  Index levels_, stride_;
  cpu::Scratch<float> memory_;
};

}  // namespace detail

// All extrema with |D| above 0.8 of the contrast limit, by octave, row, level, column. Pixels at the border have no
// 26 neighbours and are none.
inline std::vector<Extremum> find_extrema(const ScaleSpace& space, const SiftOptions& options = {}) {
  const auto limit = static_cast<float>(0.8 * detail::contrast_limit(options));
  std::vector<Extremum> all;
  for (std::size_t o = 0; o < space.octaves.size(); ++o) {
    const Octave& octave = space.octaves[o];
    if (octave.height < 3 || octave.width < 3) continue;
    const Index rows = octave.height - 2;
    const Index grain = std::max<Index>(16, (Index{1} << 15) / octave.width);
    std::vector<std::vector<Extremum>> found(static_cast<std::size_t>((rows + grain - 1) / grain));
    parallel_ranges(rows, grain, [&](Index begin, Index end) {
      auto& mine = found[static_cast<std::size_t>(begin / grain)];
      detail::DogRows dog(octave, space.scales);
      cpu::Scratch<std::int32_t> marks(octave.stride());
      std::fill_n(marks.data(), octave.stride(), 0);
      dog.load(begin);
      dog.load(begin + 1);
      for (Index y = begin + 1; y <= end; ++y) {
        dog.load(y + 1);
        dog.combine(y);
        for (int s = 1; s <= space.scales; ++s) {
          dog.mark(s, y, limit, marks.data());
          for (Index group = 0; group < octave.width; group += 16) {
            std::int32_t any = 0;
            for (Index i = 0; i < 16; ++i) any |= marks[group + i];
            if (any == 0) continue;
            for (Index x = group; x < group + 16; ++x) {
              if (marks[x] != 0 && dog.strict(s, y, x)) mine.push_back({static_cast<int>(o), s, y, x});
            }
          }
        }
      }
    });
    for (const auto& part : found) all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace tenon
