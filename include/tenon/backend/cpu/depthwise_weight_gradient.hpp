// The kernel of depthwise convolution for the gradient of the weights.
#pragma once

#include "tenon/backend/cpu/depthwise_windows.hpp"

namespace tenon::cpu {

namespace detail {

// dw[ky][kx] += Σ dy·x over lines of dy (N,OH,OW,C), whose sums stay in the first-level cache: a register for
// each tap and register of channels, the last of which overlaps.
template <class T, class Isa>
struct DepthwiseWeightGradient {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  DepthwiseWindows<T> windows;
  const T* dy;
  T* sums;  // room(c) for each tap

  static Index room(Index c) { return (c + lanes - 1) / lanes * lanes; }

  void operator()(Index first, Index last) const {
    CompiledFor<Isa>::run([&] {
      std::fill_n(sums, windows.kh * windows.kw * room(windows.c), T(0));
      windows.with_form([&]<int K, int S>(std::integral_constant<int, K>, std::integral_constant<int, S>)
                            __attribute__((always_inline)) { lines<K, S>(first, last); });
    });
  }

 private:
  template <int K, int S>
  [[gnu::always_inline]] void lines(Index first, Index last) const {
    const Index width = windows.grid_w;
    for (Index row = first; row < last; ++row) {
      const DepthwiseLine<T> at(windows, row);
      const T* gradient = dy + row * width * windows.c;
      Index gx = 0;
      while (gx + 7 <= width) gx += strip<7, K, S>(at, gx, gradient);
      while (gx + 3 <= width) gx += strip<3, 0, 1>(at, gx, gradient);
      while (gx < width) gx += strip<1, 0, 1>(at, gx, gradient);
    }
  }

  template <int P, int K, int S>
  [[gnu::always_inline]] Index strip(const DepthwiseLine<T>& at, Index gx, const T* gradient) const {
    const Index c = windows.c, size = room(c), x0 = gx * windows.stride_w + windows.first_x;
    const bool inside = windows.inside(x0, P);
    const T* next = at.next + std::max<Index>(x0, 0) * c;
    gradient += gx * c;
    for (Index j = 0; j < c; j += lanes) {
      const Index channel = std::min(j, c - lanes);
      ask_for_next<T, P, S>(next + channel, windows.w * c, c);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) __builtin_prefetch(gradient + (p + windows.grid_w) * c + channel);
      V d[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) load<T, Isa>(gradient + p * c + channel, d[p]);
      for (Index ky = at.first_ky; ky < at.last_ky; ++ky) {
        const T* in = at.picture + (at.y0 + ky * windows.step_h) * windows.w * c + channel;
        T* sum = sums + ky * windows.kw * size + j;
        if constexpr (K > 0) {
          if (inside) add_shared<P, K, S, false>(in, d, x0, sum);
          if (!inside) add_shared<P, K, S, true>(in, d, x0, sum);
        } else {
          add<P>(in, d, x0, sum);
        }
      }
    }
    return P;
  }

  template <int P, int K, int S, bool Clip>
  [[gnu::always_inline]] void add_shared(const T* in, const V (&d)[P], Index x0, T* sums_of_line) const {
    const Index size = room(windows.c);
    V sum[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) load<T, Isa>(sums_of_line + k * size, sum[k]);
    Index at = x0 * windows.c;
#pragma GCC unroll 32
    for (int i = 0; i < (P - 1) * S + K; ++i, at += windows.c) {
      if (Clip && (x0 + i < 0 || x0 + i >= windows.w)) continue;
      V value;
      load_unaligned_once<T, Isa>(in + at, value);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        if ((i - k) % S == 0 && i >= k && (i - k) / S < P) sum[k] += value * d[(i - k) / S];
      }
    }
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) store<T, Isa>(sum[k], sums_of_line + k * size);
  }

  template <int P>
  [[gnu::always_inline]] void add(const T* in, const V (&d)[P], Index x0, T* sum) const {
    for (Index k = 0; k < windows.kw; ++k, sum += room(windows.c), x0 += windows.step_w) {
      V total, value;
      load<T, Isa>(sum, total);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const Index at = x0 + p * windows.stride_w;
        if (at < 0 || at >= windows.w) continue;
        load<T, Isa>(in + at * windows.c, value);
        total += value * d[p];
      }
      store<T, Isa>(total, sum);
    }
  }
};

}  // namespace detail

}  // namespace tenon::cpu
