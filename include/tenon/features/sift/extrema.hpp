// SIFT, step 2: extrema of the difference of Gaussians (Lowe 2004, section 3.1).
//
// D(s) = level s+1 - level s is never stored: each thread keeps three rows of it, with the largest and the
// smallest of three neighbours in a row, and compares 16 pixels at a time.
#pragma once

#include <cmath>
#include <cstdint>
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

// Three rows of D at all its levels, scales + 2 of them, and the extremes of three neighbours in those rows.
// Rows are worked on in groups of 16 pixels, up to the stride: what lies beyond the width is not a number of
// the picture.
class DogRows {
 public:
  static constexpr Index group = 16;

  DogRows(const Octave& octave, int scales)
      : octave_(octave),
        levels_(scales + 2),
        stride_(octave.stride()),
        memory_(Index{9} * levels_ * stride_ + 2 * group),
        found_(static_cast<std::size_t>(scales) * group) {
    std::fill_n(memory_.data(), group, 0.0f);
    std::fill_n(memory_.data() + Index{9} * levels_ * stride_ + group, group, 0.0f);
  }

  // Row y of D and the extremes of its three neighbours in x. Replaces row y-3.
  void load(Index y) {
    for (int l = 0; l < levels_; ++l) {
      const float* const low = octave_.level(l) + y * stride_;
      const float* const high = octave_.level(l + 1) + y * stride_;
      float *const d = row(0, l, y), *const most = row(1, l, y), *const least = row(2, l, y);
      for (Index x = 0; x < stride_; x += group) {
        const Lanes *const a = from(high + x), *const b = from(low + x);
        Lanes* const difference = to(d + x);
        *difference = *a - *b;
      }
      for (Index x = 0; x < octave_.width; x += group) {
        const Lanes *const a = from(d + x - 1), *const b = from(d + x), *const c = from(d + x + 1);
        const Lanes above = *a > *b ? *a : *b, below = *a < *b ? *a : *b;
        Lanes *const high_of_three = to(most + x), *const low_of_three = to(least + x);
        *high_of_three = above > *c ? above : *c;
        *low_of_three = below < *c ? below : *c;
      }
    }
  }

  // Whether any of the 16 pixels from x on in row y has |D| > limit at a level 1 … scales and no neighbour
  // that exceeds it. A neighbour may equal it. candidate() then tells which.
  bool search(Index y, Index x, float limit) {
    Lanes most[3], least[3];  // over 3×3 pixels, of the level l % 3
    Bits any = {};
    for (int l = 0; l < levels_; ++l) {
      const Lanes *const a = from(row(1, l, y - 1) + x), *const b = from(row(1, l, y) + x);
      const Lanes *const p = from(row(2, l, y - 1) + x), *const q = from(row(2, l, y) + x);
      const Lanes *const c = from(row(1, l, y + 1) + x), *const r = from(row(2, l, y + 1) + x);
      const Lanes ab = *a > *b ? *a : *b, pq = *p < *q ? *p : *q;
      most[l % 3] = ab > *c ? ab : *c;
      least[l % 3] = pq < *r ? pq : *r;
      if (l < 2) continue;
      const Lanes* const d = from(row(0, l - 1, y) + x);
      const Lanes v = *d;
      const Bits top = (v > limit) & (v >= most[0]) & (v >= most[1]) & (v >= most[2]);
      const Bits bottom = (v < -limit) & (v <= least[0]) & (v <= least[1]) & (v <= least[2]);
      const Bits found = top | bottom;
      Bits* const kept = reinterpret_cast<Bits*>(found_.data() + (l - 2) * group);
      *kept = found;
      any |= found;
    }
    const auto bytes = __builtin_convertvector(any, Bytes);
    return (reinterpret_cast<Words>(bytes)[0] | reinterpret_cast<Words>(bytes)[1]) != 0;
  }

  // After search(y, x, …): whether pixel x + i is a candidate at level s and differs from all its neighbours.
  bool candidate(int s, Index y, Index x, Index i) {
    if (found_[static_cast<std::size_t>((s - 1) * group + i)] == 0) return false;
    const float v = row(0, s, y)[x + i];
    int equal = 0;
    for (int l = s - 1; l <= s + 1; ++l) {
      for (Index dy = -1; dy <= 1; ++dy) {
        for (Index dx = -1; dx <= 1; ++dx) equal += row(0, l, y + dy)[x + i + dx] == v;
      }
    }
    return equal == 1;
  }

 private:
  typedef float Lanes __attribute__((vector_size(64), aligned(4)));
  typedef std::int32_t Bits __attribute__((vector_size(64), aligned(4)));
  typedef signed char Bytes __attribute__((vector_size(16)));
  typedef long long Words __attribute__((vector_size(16)));

  // To be dereferenced through a variable of type Lanes*: a deduced type forgets that it is not aligned.
  static Lanes* to(float* p) { return reinterpret_cast<Lanes*>(p); }
  static const Lanes* from(const float* p) { return reinterpret_cast<const Lanes*>(p); }

  float* row(Index kind, Index l, Index y) {
    return memory_.data() + group + ((kind * 3 + y % 3) * levels_ + l) * stride_;
  }

  const Octave& octave_;
  int levels_;
  Index stride_;
  cpu::Scratch<float> memory_;
  std::vector<std::int32_t> found_;
};

}  // namespace detail

// All extrema with |D| above 0.8 of the contrast limit, in the order of octaves and rows. Pixels at the
// border have no 26 neighbours and are none.
inline std::vector<Extremum> find_extrema(const ScaleSpace& space, const SiftOptions& options = {}) {
  constexpr Index group = detail::DogRows::group;
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
      dog.load(begin);
      dog.load(begin + 1);
      for (Index y = begin + 1; y <= end; ++y) {
        dog.load(y + 1);
        for (Index x = 0; x < octave.width; x += group) {
          if (!dog.search(y, x, limit)) continue;
          const Index first = x == 0 ? 1 : 0, last = std::min(group, octave.width - 1 - x);
          for (int s = 1; s <= space.scales; ++s) {
            for (Index i = first; i < last; ++i) {
              if (dog.candidate(s, y, x, i)) mine.push_back({static_cast<int>(o), s, y, x + i});
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
