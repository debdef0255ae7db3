// ReLU and maximum pooling of pictures in lanes, by windows of 2×2 side by side: a convolution is pooled as
// it leaves its transform, with a code for where each result came from, by which its gradient finds the way
// back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tenon/backend/cpu/lanes_filter.hpp"

namespace tenon::cpu::detail {

// The codes of a block of pictures: integers as wide as the values beside them, each with the codes of as
// many results as it has bytes, the first in the lowest one. To pack them takes a shift.
template <class T, class Isa>
struct PoolCodes {
  typedef std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> Vector
      __attribute__((vector_size(Isa::bytes)));
  static constexpr int results = sizeof(T), bits = 8;
};

template <class T, class Isa>
class PoolCodesWriter {
 public:
  using Codes = PoolCodes<T, Isa>;
  explicit PoolCodesWriter(std::uint8_t* to) : to_(to) {}

  [[gnu::always_inline]] void put(const typename Codes::Vector& code) {
    some_ = some_ >> Codes::bits | code << (Codes::results - 1) * Codes::bits;
    if (++count_ < Codes::results) return;
    std::memcpy(to_, &some_, sizeof(some_));
    to_ += sizeof(some_);
    count_ = 0;
  }
  // After the last one.
  [[gnu::always_inline]] void fill() {
    while (count_ > 0) put(typename Codes::Vector{});
  }

 private:
  std::uint8_t* to_;
  typename Codes::Vector some_{};
  int count_ = 0;
};

template <class T, class Isa>
class PoolCodesReader {
 public:
  using Codes = PoolCodes<T, Isa>;
  explicit PoolCodesReader(const std::uint8_t* from) : from_(from) {}

  [[gnu::always_inline]] void get(typename Codes::Vector& code) {
    if (left_ == 0) {
      std::memcpy(&some_, from_, sizeof(some_));
      from_ += sizeof(some_);
      left_ = Codes::results;
    }
    code = some_ & ((1 << Codes::bits) - 1);
    some_ >>= Codes::bits;
    --left_;
  }

 private:
  const std::uint8_t* from_;
  typename Codes::Vector some_{};
  int left_ = 0;
};

// Calls use(py, px, o) for every result, in the order of their codes: windows two by two side by side, as
// they come from four columns of a line.
template <class Use>
[[gnu::always_inline]] inline void each_window(Index h, Index w, Index channels, const Use& use) {
  for (Index px = 0; px < w; px += 2) {
    for (Index py = 0; py < h; ++py) {
      for (Index o = 0; o < channels; ++o) {
        use(py, px, o);
        if (px + 1 < w) use(py, px + 1, o);
      }
    }
  }
}

// The largest of a window's four values, not below 0, and where it was: the first of equals; a NaN wins.
template <class T, class Isa>
[[gnu::always_inline]] inline void largest(const Vec<T, Isa>* window, Vec<T, Isa>& best,
                                           typename PoolCodes<T, Isa>::Vector& place) {
  using Codes = typename PoolCodes<T, Isa>::Vector;
  best = window[0];
  place = Codes{};
#pragma GCC unroll 4
  for (unsigned k = 1; k < 4; ++k) {
    const auto better = (window[k] > best) | (window[k] != window[k]);
    best = better ? window[k] : best;
    place = better ? Codes{} + k : place;
  }
  place = best <= 0 ? Codes{} + 4 : place;
  best = best < 0 ? Vec<T, Isa>{} : best;
}

template <class T, class Isa>
[[gnu::always_inline]] inline void pool_windows(const InterleavedPictures<T, Isa>& y,
                                                const InterleavedPictures<T, Isa>& pooled,
                                                std::uint8_t* codes) {
  constexpr Index lanes = lanes_of<T, Isa>;
  PoolCodesWriter<T, Isa> places(codes);
  each_window(
      pooled.h, pooled.w, pooled.c, [&](Index py, Index px, Index o) __attribute__((always_inline)) {
        Vec<T, Isa> window[4], best;
        typename PoolCodes<T, Isa>::Vector place;
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) load<T, Isa>(y.at(2 * py + k / 2, 2 * px + k % 2) + o * lanes, window[k]);
        largest<T, Isa>(window, best, place);
        store<T, Isa>(best, pooled.at(py, px) + o * lanes);
        places.put(place);
      });
  places.fill();
}

// The same of a convolution that is filtered along its lines, tile by tile: y itself is never written.
template <class T, class Isa>
[[gnu::always_inline]] inline void pool_filtered(const FilteredConvolution<T, Isa>& convolution,
                                                 const InterleavedPictures<T, Isa>& pooled,
                                                 std::uint8_t* codes) {
  using V = Vec<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  PoolCodesWriter<T, Isa> places(codes);
  const T* bias = convolution.of.bias;
  const auto pool_tile = [&](const FilteredColumns<T, Isa>& products, Index x0)
      __attribute__((always_inline)) {
    const Index px = x0 / 2, count = std::min<Index>(2, pooled.w - px);
    for (Index py = 0; py < pooled.h; ++py) {
      T* out = pooled.at(py, px);
      for (Index o = 0; o < pooled.c; ++o, out += lanes) {
        V above[LineFilter::outputs], below[LineFilter::outputs];
        convolution.outputs(products, 2 * py, o, above);
        convolution.outputs(products, 2 * py + 1, o, below);
        const T more = bias ? bias[o] : T(0);
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
          if (i >= count) break;
          const V window[4] = {above[2 * i] + more, above[2 * i + 1] + more, below[2 * i] + more,
                               below[2 * i + 1] + more};
          V best;
          typename PoolCodes<T, Isa>::Vector place;
          largest<T, Isa>(window, best, place);
          store<T, Isa>(best, out + i * pooled.c * lanes);
          places.put(place);
        }
      }
    }
  };
  convolution.each_tile(pool_tile);
  places.fill();
}

// The pooled results of a convolution and their codes; `filtered` as in convolve_lanes().
template <class T, class Isa>
void pool_convolution(LanesConvolution<T, Isa> convolution, bool filtered,
                      const InterleavedPictures<T, Isa>& pooled, std::uint8_t* codes) {
  auto& y = convolution.y;
  Scratch<T> room(filtered ? FilteredConvolution<T, Isa>::room_for(convolution)
                           : InterleavedPictures<T, Isa>::room(y.h, y.w, y.c, 0));
  CompiledFor<Isa>::run([&] {
    if constexpr (std::same_as<T, float>) {
      if (filtered)
        return pool_filtered(FilteredConvolution<T, Isa>{convolution, room.data()}, pooled, codes);
    }
    y.data = room.data();
    convolution();
    pool_windows(y, pooled, codes);
  });
}

// The gradient of the convolution from that of the pooled results and their codes: in each window at the
// position that the code names, 0 elsewhere.
template <class T, class Isa>
class Unpooling {
 public:
  using Pictures = InterleavedPictures<T, Isa>;
  Unpooling(const Pictures& pooled, const std::uint8_t* codes) : pooled_(pooled), places_(codes) {}

  // As it lies.
  [[gnu::always_inline]] void write(const Pictures& dy) {
    for (Index y = 0; y < dy.h; ++y) {
      const Index covered = y < 2 * pooled_.h ? 2 * pooled_.w : 0;
      std::fill_n(dy.at(y, covered), (dy.w - covered) * dy.c * lanes, T(0));
    }
    each_window(
        pooled_.h, pooled_.w, pooled_.c, [&](Index py, Index px, Index o) __attribute__((always_inline)) {
          V here[4];
          window(py, px, o, here);
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k)
            store<T, Isa>(here[k], dy.at(2 * py + k / 2, 2 * px + k % 2) + o * lanes);
        });
  }

  // Spread to the points of a filter along the lines, for the tiles from `first` on; all tiles in order.
  [[gnu::always_inline]] void spread(Index first, const FilteredColumns<T, Isa>& dy) {
    for (Index t = 0; t < dy.tiles; ++t) {
      const Index px = 2 * (first + t), count = std::clamp<Index>(pooled_.w - px, 0, 2);
      const Index covered = count > 0 ? 2 * pooled_.h : 0;
      for (Index py = 0; 2 * py < covered; ++py) {
        for (Index o = 0; o < dy.c; ++o) {
          V left[4], right[4] = {};
          window(py, px, o, left);
          if (count > 1) window(py, px + 1, o, right);
          const V above[] = {left[0], left[1], right[0], right[1]},
                  below[] = {left[2], left[3], right[2], right[3]};
          dy.put(t, 2 * py, o, above);
          dy.put(t, 2 * py + 1, o, below);
        }
      }
      dy.clear(t, covered);
    }
  }

  // Adds the sum over each channel, when all has been read.
  [[gnu::always_inline]] void add_sums(T* sums) const {
    for (Index o = 0; o < pooled_.c; ++o) {
      for (Index i = 0; i < lanes; ++i) sums[o] += totals_[o][i];
    }
  }

 private:
  using V = Vec<T, Isa>;
  static constexpr Index lanes = lanes_of<T, Isa>;

  // The four positions of the next window.
  [[gnu::always_inline]] void window(Index py, Index px, Index o, V* here) {
    V gradient;
    load<T, Isa>(pooled_.at(py, px) + o * lanes, gradient);
    typename PoolCodes<T, Isa>::Vector place;
    places_.get(place);
#pragma GCC unroll 4
    for (unsigned k = 0; k < 4; ++k) here[k] = place == k ? gradient : V{};
    totals_[o] += place < 4 ? gradient : V{};
  }

  const Pictures& pooled_;
  PoolCodesReader<T, Isa> places_;
  V totals_[16] = {};  // conv_lanes_fits allows no more channels
};

// What add_weight_gradient_of_lanes() adds if it filters along the lines, without the gradient of the
// convolution being written first; sums: over each channel.
template <class T, class Isa>
void add_weight_gradient_unpooled(const LanesWeightGradient<T, Isa>& plain,
                                  const InterleavedPictures<T, Isa>& pooled, const std::uint8_t* codes,
                                  T* sums) {
  using Filtered = FilteredWeightGradient<T, Isa>;
  Scratch<T> room(Filtered::room_for(plain));
  CompiledFor<Isa>::run([&] {
    Unpooling<T, Isa> unpooling(pooled, codes);
    Filtered{plain, room.data()}([&](Index first, const FilteredColumns<T, Isa>& dy)
                                     __attribute__((always_inline)) { unpooling.spread(first, dy); });
    unpooling.add_sums(sums);
  });
}

}  // namespace tenon::cpu::detail
