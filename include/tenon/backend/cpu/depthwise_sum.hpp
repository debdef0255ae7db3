// The kernel of depthwise convolution, forward and backward to the data.
#pragma once

#include "tenon/backend/cpu/depthwise_windows.hpp"
#include "tenon/backend/cpu/epilogue.hpp"

namespace tenon::cpu {

namespace detail {

// y at the points of a grid = Σ x·taps[ky][kx][c], then the epilogue.
template <class T, class Isa>
struct DepthwiseSum {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  DepthwiseWindows<T> windows;
  const T* taps;
  Epilogue<T> finish;
  T* y;
  Index picture, line, pixel;  // values from one picture, grid line and grid point of y to the next

  // Lines [first, last) of all pictures' grids.
  void operator()(Index first, Index last) const {
    CompiledFor<Isa>::run([&] {
      windows.with_form([&]<int K, int S>(std::integral_constant<int, K>, std::integral_constant<int, S>)
                            __attribute__((always_inline)) { lines<K, S>(first, last); });
    });
  }

 private:
  // Strips that reach past the end begin earlier instead.
  template <int K, int S>
  [[gnu::always_inline]] void lines(Index first, Index last) const {
    const Index width = windows.grid_w;
    for (Index row = first; row < last; ++row) {
      const DepthwiseLine<T> at(windows, row);
      const Index out = row / windows.grid_h * picture + row % windows.grid_h * line;
      for (Index gx = 0; gx < width;) {
        if (width >= 7 && width - gx > 3)
          gx += strip<7, K, S>(at, std::min(gx, width - 7), out);
        else if (width >= 3)
          gx += strip<3, 0, 1>(at, std::min(gx, width - 3), out);
        else
          gx += strip<1, 0, 1>(at, gx, out);
      }
    }
  }

  template <int P, int K, int S>
  [[gnu::always_inline]] Index strip(const DepthwiseLine<T>& at, Index gx, Index out) const {
    const Index c = windows.c, x0 = gx * windows.stride_w + windows.first_x;
    const bool inside = windows.inside(x0, P);
    const T* next = at.next + std::max<Index>(x0, 0) * c;
    T* to = y + out + gx * pixel;
    for (Index j = 0; j < c; j += lanes) {
      const Index channel = std::min(j, c - lanes);
      V sum[P] = {};
      ask_for_next<T, P, S>(next + channel, windows.w * c, c);
      for (Index ky = at.first_ky; ky < at.last_ky; ++ky) {
        const T* in = at.picture + (at.y0 + ky * windows.step_h) * windows.w * c + channel;
        const T* tap = taps + ky * windows.kw * c + channel;
        if constexpr (K > 0) {
          if (inside) add_shared<P, K, S, false>(in, tap, x0, sum);
          if (!inside) add_shared<P, K, S, true>(in, tap, x0, sum);
        } else {
          add<P>(in, tap, x0, sum);
        }
      }
      V more[P];
      if (finish.residual) {
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) load<T, Isa>(finish.residual + (to - y) + p * pixel + channel, more[p]);
      }
      finish.template on_registers<Isa, P>(channel, finish.residual ? more : nullptr, sum);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) store<T, Isa>(sum[p], to + p * pixel + channel);
    }
    return P;
  }

  // One line of the windows: K taps, S pixels from one window to the next.
  template <int P, int K, int S, bool Clip>
  [[gnu::always_inline]] void add_shared(const T* in, const T* tap, Index x0, V (&sum)[P]) const {
    V weight[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) load_unaligned_once<T, Isa>(tap + k * windows.c, weight[k]);
    Index at = x0 * windows.c;
#pragma GCC unroll 32
    for (int i = 0; i < (P - 1) * S + K; ++i, at += windows.c) {
      if (Clip && (x0 + i < 0 || x0 + i >= windows.w)) continue;
      V value;
      load_unaligned_once<T, Isa>(in + at, value);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        if ((i - k) % S == 0 && i >= k && (i - k) / S < P) sum[(i - k) / S] += value * weight[k];
      }
    }
  }

  // Any width, stride and spacing of the taps.
  template <int P>
  [[gnu::always_inline]] void add(const T* in, const T* tap, Index x0, V (&sum)[P]) const {
    for (Index k = 0; k < windows.kw; ++k, tap += windows.c, x0 += windows.step_w) {
      V weight, value;
      load<T, Isa>(tap, weight);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const Index at = x0 + p * windows.stride_w;
        if (at < 0 || at >= windows.w) continue;
        load<T, Isa>(in + at * windows.c, value);
        sum[p] += value * weight;
      }
    }
  }
};

}  // namespace detail

}  // namespace tenon::cpu
