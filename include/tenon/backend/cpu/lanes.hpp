// The plain loops of a convolution with few channels: sixteen pictures side by side in a register, or as many as it has
// lanes.
//
// A register holds one value of each of `lanes` pictures, so that three input or six output channels waste
// none of it, as they would if the channels lay in the lanes.
#pragma once

#include "tenon/backend/cpu/transpose.hpp"
#include "tenon/core/geometry.hpp"

namespace tenon::cpu {

// The pictures of a block, element e of picture i at data[e·lanes + i]; lines may have zero columns at either
// side.
template <class T, class Isa>
struct InterleavedPictures {
  static constexpr Index lanes = lanes_of<T, Isa>;
  Index h, w, c, margin;  // margin: zero columns at the left and at the right
  T* data;

  static Index room(Index h, Index w, Index c, Index margin) { return h * (w + 2 * margin) * c * lanes; }
  Index line() const { return (w + 2 * margin) * c * lanes; }
  T* at(Index y, Index x) const { return data + y * line() + (x + margin) * c * lanes; }

  // The zero columns.
  [[gnu::always_inline]] void clear_margins() const {
    for (Index y = 0; y < h && margin > 0; ++y) {
      std::fill_n(at(y, -margin), margin * c * lanes, T(0));
      std::fill_n(at(y, w), margin * c * lanes, T(0));
    }
  }

  // From and to pictures (count,h,w,c); lanes without a picture are zero.
  [[gnu::always_inline]] void interleave(const T* pictures, Index count) const {
    const Index size = h * w * c;
    if (count < lanes) std::fill_n(data, h * line(), T(0));
    clear_margins();
    for (Index y = 0; y < h; ++y)
      transpose_block<T, Isa>(pictures + y * w * c, size, count, w * c, at(y, 0), lanes);
  }
  [[gnu::always_inline]] void separate(Index count, T* pictures) const {
    const Index size = h * w * c;
    for (Index y = 0; y < h; ++y) {
      T* out = pictures + y * w * c;
      Index e = 0;
      for (; count == lanes && e + lanes <= w * c; e += lanes)
        transpose_block<T, Isa>(at(y, 0) + e * lanes, lanes, lanes, lanes, out + e, size);
      for (; e < w * c; ++e) {
        for (Index i = 0; i < count; ++i) out[i * size + e] = at(y, 0)[e * lanes + i];
      }
    }
  }
};

// y = the convolution of x with taps[(ky·kw + kx)·C + c][o] plus bias. x has zero columns for its padding, of
// which `most_zeros` are read at stride 1; rows outside it are skipped, and so are columns that lie outside
// for a whole tile.
template <class T, class Isa>
struct LanesConvolution {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  static constexpr Index most_zeros = Isa::bytes == 64 ? 4 : 2;  // one less than positions in a tile

  InterleavedPictures<T, Isa> x, y;
  Index kh, kw, stride_h, stride_w, pad_h, pad_w;
  const T* taps;
  const T* bias;  // (O) or null

  // A tile of P positions × Q channels in registers; positions are taken P at a time; the last ones
  // overlap, or one is left.
  [[gnu::always_inline]] void operator()() const {
    if (y.w < 2) return rows<1>();
    if constexpr (most_sums < 24) {
      return y.w == 3 || (y.w > 3 && y.c == 3) ? rows<3>() : rows<2>();
    } else {
      if (y.w == 3) return rows<3>();
      if (y.w % 4 != 0 && y.w % 5 == 0) return rows<5>();
      if (2 * pad_w >= kw || y.w < 4) return rows<2>();  // wide margins: small tiles skip more of them
      rows<4>();
    }
  }

 private:
  // Sums that fit the registers, beside P inputs and a tap.
  static constexpr int most_sums = Isa::bytes == 64 ? 24 : 12;

  template <int P>
  [[gnu::always_inline]] void rows() const {
    for (Index oy = 0; oy < y.h; ++oy) {
      for (Index o = 0; o < y.c;) {
        const Index left = y.c - o;
        if (left >= 6 && 6 * P <= most_sums)
          o += row<P, 6>(oy, o);
        else if (left >= 4 && 4 * P <= most_sums)
          o += row<P, 4>(oy, o);
        else if (left >= 3)
          o += row<P, 3>(oy, o);
        else if (left == 2)
          o += row<P, 2>(oy, o);
        else
          o += row<P, 1>(oy, o);
      }
    }
  }

  template <int P, int Q>
  [[gnu::always_inline]] Index row(Index oy, Index o) const {
    const Index y0 = oy * stride_h - pad_h, first = std::max<Index>(0, -y0),
                lines = std::min(kh, x.h - y0) - first;
    const T* in = x.at(y0 + first, 0);
    const T* tap = taps + first * kw * x.c * y.c + o;
    T* out = y.at(oy, 0) + o * lanes;
    Index ox = 0;
    for (; ox + P <= y.w; ox += P) tile<P, Q>(lines, in, tap, ox, o, out);
    if (ox < y.w) tile<P == 2 ? 1 : P, Q>(lines, in, tap, P == 2 ? ox : y.w - P, o, out);
    return Q;
  }

  // Positions from ox on, channels from o on. in: the first of `lines` lines of windows, tap: its taps.
  template <int P, int Q>
  [[gnu::always_inline]] void tile(Index lines, const T* in, const T* tap, Index ox, Index o, T* out) const {
    V sum[P][Q] = {};
    const Index x0 = ox * stride_w - pad_w, step = stride_w * x.c * lanes;
    const Index first = std::max<Index>(0, -(x0 + (P - 1) * stride_w)),
                terms = (std::min(kw, x.w - x0) - first) * x.c;
    in += (x0 + first) * x.c * lanes, tap += first * x.c * y.c;
    for (; lines > 0; --lines, in += x.line(), tap += kw * x.c * y.c) {
      const T *value_at = in, *tap_at = tap;
      for (Index k = terms; k > 0; --k, value_at += lanes, tap_at += y.c) {
        V value[P];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) load_once<T, Isa>(value_at + p * step, value[p]);
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) sum[p][q] += value[p] * tap_at[q];
        }
      }
    }
    if (bias) {
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) sum[p][q] += bias[o + q];
      }
    }
    out += ox * y.c * lanes;
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p, out += y.c * lanes) {
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) store<T, Isa>(sum[p][q], out + q * lanes);
    }
  }
};

// The gradients of weights (O,KH,KW,C) in tiles of K neighbouring taps × Q output channels, in the order in
// which LanesWeightGradient sums them: neighbouring taps share what they read.
template <class Isa>
struct WeightTiles {
  Index kh, kw, c, o;

  Index count() const { return kh * kw * c * o; }

  // visit(K, Q, ky, kx, c, o, first) for every tile; the first two are integral constants, `first` is the
  // number of its first gradient.
  template <class Visit>
  [[gnu::always_inline]] void walk(const Visit& visit) const {
    Index first = 0;
    const auto tile = [&](auto taps, auto outputs, Index ky, Index kx, Index ci, Index oi)
        __attribute__((always_inline)) {
      visit(taps, outputs, ky, kx, ci, oi, first);
      first += taps * outputs;
      return outputs();
    };
    const auto all_outputs = [&](auto taps, Index ky, Index kx, Index ci) __attribute__((always_inline)) {
      // As many outputs as there are registers for their sums and for them.
      constexpr int most = Isa::bytes < 64 && taps > 1 ? 2 + (taps < 5) : 4;
      for (Index oi = 0; oi < o;) {
        const Index left = o - oi;
        if (most == 4 ? left % 4 == 0 || left > 6 : left >= most)
          oi += tile(taps, std::integral_constant<int, most>(), ky, kx, ci, oi);
        else if (most > 3 && left >= 3)
          oi += tile(taps, std::integral_constant<int, 3>(), ky, kx, ci, oi);
        else
          oi += tile(taps, std::integral_constant<int, 1>(), ky, kx, ci, oi);
      }
      return taps();
    };
    for (Index ky = 0; ky < kh; ++ky) {
      for (Index ci = 0; ci < c; ++ci) {
        for (Index kx = 0; kx < kw;) {
          const Index left = kw - kx;
          if (left >= 5 && left % 5 != 1)
            kx += all_outputs(std::integral_constant<int, 5>(), ky, kx, ci);
          else if (left >= 3)
            kx += all_outputs(std::integral_constant<int, 3>(), ky, kx, ci);
          else
            kx += all_outputs(std::integral_constant<int, 1>(), ky, kx, ci);
        }
      }
    }
  }

  // dw (O,KH,KW,C) from gradients in the order of the tiles.
  template <class T>
  void arrange(const T* gradients, T* dw) const {
    walk([&]<int K, int Q>(std::integral_constant<int, K>, std::integral_constant<int, Q>, Index ky, Index kx,
                           Index ci, Index oi, Index) {
      for (Index q = 0; q < Q; ++q) {
        for (Index k = 0; k < K; ++k) dw[(((oi + q) * kh + ky) * kw + kx + k) * c + ci] = *gradients++;
      }
    });
  }
};

// totals += Σ dy·x over one block of pictures, in the order of tiles(). A few lines of dy stay in the
// first-level cache while every tile's sums, a register for each gradient, pass over them.
template <class T, class Isa>
struct LanesWeightGradient {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  InterleavedPictures<T, Isa> x, dy;
  Index kh, kw, stride_h, stride_w, pad_h, pad_w;
  T* sums;  // room(): the registers
  T* totals;

  static Index room(const Conv2dGeometry& g) { return (g.taps() * g.o + lanes) * lanes; }
  WeightTiles<Isa> tiles() const { return {kh, kw, x.c, dy.c}; }

  [[gnu::always_inline]] void operator()() const {
    // With few registers a tile has few channels, and all lines of those fit.
    const Index fit = (Index{24} << 10) / (dy.line() * static_cast<Index>(sizeof(T)));
    const Index band = Isa::bytes < 64 ? dy.h : std::clamp<Index>(fit, 1, 4);
    for (Index oy = 0; oy < dy.h; oy += band) {
      tiles().walk([&]<int K, int Q>(std::integral_constant<int, K>, std::integral_constant<int, Q>, Index ky,
                                     Index kx, Index c, Index o, Index first) __attribute__((always_inline)) {
        sweep<K, Q>(oy, std::min(oy + band, dy.h), ky, kx, c, o, sums + first * lanes);
      });
    }
    const Index count = tiles().count();
    std::fill_n(sums + count * lanes, (lanes - count % lanes) % lanes * lanes, T(0));
    Index first = 0;
    for (; first < count; first += lanes) {
      V some[lanes];
#pragma GCC unroll 16
      for (Index i = 0; i < lanes; ++i) load<T, Isa>(sums + (first + i) * lanes, some[i]);
      total_lanes<T, Isa>(some);
      if (first + lanes <= count) {
        V before;
        load<T, Isa>(totals + first, before);
        store<T, Isa>(before + some[0], totals + first);
      } else {
        for (Index i = 0; first + i < count; ++i) totals[first + i] += some[0][i];
      }
    }
  }

 private:
  // Lines [first, last) of dy, the first of all or more.
  template <int K, int Q>
  [[gnu::always_inline]] void sweep(Index first, Index last, Index ky, Index kx, Index c, Index o,
                                    T* sums_of_tile) const {
    V sum[Q][K] = {};
    if (first > 0) {
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) load<T, Isa>(sums_of_tile + (q * K + k) * lanes, sum[q][k]);
      }
    }
    const Index step_x = stride_w * x.c * lanes, step_y = dy.c * lanes;
    for (Index oy = first; oy < last; ++oy) {
      const Index y = oy * stride_h - pad_h + ky;
      if (y < 0 || y >= x.h) continue;
      const T* in = x.at(y, kx - pad_w) + c * lanes;
      const T* gradient = dy.at(oy, 0) + o * lanes;
      for (Index ox = dy.w; ox > 0; --ox, in += step_x, gradient += step_y) {
        V d[Q];
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) load_once<T, Isa>(gradient + q * lanes, d[q]);
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
          V value;
          load_once<T, Isa>(in + k * x.c * lanes, value);
#pragma GCC unroll 8
          for (int q = 0; q < Q; ++q) sum[q][k] += d[q] * value;
        }
      }
    }
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) store<T, Isa>(sum[q][k], sums_of_tile + (q * K + k) * lanes);
    }
  }
};

}  // namespace tenon::cpu
