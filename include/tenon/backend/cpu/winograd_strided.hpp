// Winograd's transforms for 3×3 convolution with stride 2 and padding 1, along one axis.
//
// Of the inputs, every second one meets the outer taps, y_i = g0 d_i + g2 d_{i+1}: minimal filtering with two
// taps. The others meet only the middle tap, one product each. Four outputs take 5 + 4 products in place of 12,
// which in two dimensions is 81 in place of 144. The four products with the middle tap share one value.
#pragma once

#include "tenon/backend/cpu/winograd_transform.hpp"

namespace tenon::cpu {

// F(4,2), y_i = g0 d_i + g1 d_{i+1}: interpolation at 0, ±1, 2, ∞; of a short tile at 0, ∞, and the more outputs at 1
// and -1.
struct WinogradPair4 {
  static constexpr int outputs = 4, points = 5;

  static constexpr bool takes(int count, int point) { return point < count || point == 4; }

  template <int Count, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {  // v = Bᵀ d
    if constexpr (Count == 1) {
      v[0] = 2.0f * d[0];
      v[4] = d[1];
      return;
    }
    if constexpr (Count == 2) {
      v[0] = 2.0f * (d[0] - d[1]);
      v[1] = -2.0f * d[1];
      v[4] = d[2] - d[1];
      return;
    }
    if constexpr (Count == 3) {
      v[0] = 2.0f * (d[0] - d[2]);
      v[1] = -1.0f * (d[1] + d[2]);
      v[2] = 3.0f * (d[1] - d[2]);
      v[4] = d[3] - d[1];
      return;
    }
    const V a = d[3] - d[2], b = 2.0f * d[1];
    v[0] = (d[3] - d[1]) + 2.0f * (d[0] - d[2]);
    v[1] = a - b;
    v[2] = (a - 2.0f * d[2]) + b;
    v[3] = d[3] - d[1];
    v[4] = b - d[2] + (d[4] - 2.0f * d[3]);
  }
  template <int Count, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {  // y = Aᵀ m
    if constexpr (Count == 1) {
      y[0] = m[0] + m[4];
      return;
    }
    if constexpr (Count == 2) {
      y[0] = m[0] + m[1];
      y[1] = m[1] + m[4];
      return;
    }
    const V a = m[1] + m[2], b = m[1] - m[2];
    if constexpr (Count == 3) {
      y[0] = m[0] + a;
      y[1] = b;
      y[2] = a + m[4];
      return;
    }
    y[0] = m[0] + a + m[3];
    y[1] = b + 2.0f * m[3];
    y[2] = a + 4.0f * m[3];
    y[3] = b + 8.0f * m[3] + m[4];
  }
  template <int Count, class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {  // m = A y
    m[0] = y[0];
    m[4] = y[Count - 1];
    if constexpr (Count == 1) return;
    if constexpr (Count == 2) {
      m[1] = y[0] + y[1];
      return;
    }
    if constexpr (Count == 3) {
      const V a = y[0] + y[2];
      m[1] = a + y[1];
      m[2] = a - y[1];
      return;
    }
    const V a = y[0] + y[2], b = y[1] + y[3];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = y[0] + 2.0f * y[1] + 4.0f * y[2] + 8.0f * y[3];
  }
  template <class V>
  [[gnu::always_inline]] static void filter(const V& g0, const V& g1, V* u) {  // u = G g
    u[0] = g0 * 0.5f;
    u[1] = (g0 + g1) * -0.5f;
    u[2] = (g1 - g0) * (1.0f / 6);
    u[3] = g0 * (1.0f / 6) + g1 * (1.0f / 3);
    u[4] = g1;
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V& g0, V& g1) {  // g = Gᵀ u
    g0 = (u[0] - u[1]) * 0.5f + (u[3] - u[2]) * (1.0f / 6);
    g1 = u[1] * -0.5f + u[2] * (1.0f / 6) + u[3] * (1.0f / 3) + u[4];
  }
};

// The points of `Pair`, and then one for each output, all with the value of the middle tap.
template <class Pair>
struct WinogradStridedTile {
  static constexpr int taps = 3, points = Pair::points + Pair::outputs, filters = Pair::points + 1, stride = 2,
                       steps = Pair::outputs;
  static constexpr bool divisible = true;

  static constexpr int filter_of(int point) { return point < Pair::points ? point : Pair::points; }
  static constexpr bool takes(int count, int point) {
    return point < Pair::points ? Pair::takes(count, point) : point - Pair::points < count;
  }
  template <class V>
  [[gnu::always_inline]] static void filter(const V* g, V* u) {
    Pair::filter(g[0], g[2], u);
    u[Pair::points] = g[1];
  }
};

// The gradient of the inputs with the filter turned round: the first of a tile, and every second one from it,
// meets the middle tap alone.
template <class Pair>
struct WinogradStridedData : WinogradStridedTile<Pair> {
  static constexpr int outputs = 2 * Pair::outputs, inputs = Pair::outputs + 1;

  static constexpr Index input_of(Index y) { return y / 2; }
  template <int Count = Pair::outputs, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    Pair::template input<Count>(d, v);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) v[Pair::points + i] = d[i];
  }
  template <int Count = Pair::outputs, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    V outer[Count];
    Pair::template output<Count>(m, outer);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) {
      y[2 * i] = m[Pair::points + i];
      y[2 * i + 1] = outer[i];
    }
  }
};

template <class Pair>
struct WinogradStrided : WinogradStridedTile<Pair> {
  static constexpr int outputs = Pair::outputs, inputs = 2 * outputs + 1;
  using Data = WinogradStridedData<Pair>;

  static constexpr Index input_of(Index y) { return 2 * y; }
  template <int Count = outputs, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    V outer[Count + 1];
#pragma GCC unroll 5
    for (int i = 0; i <= Count; ++i) outer[i] = d[2 * i];
    Pair::template input<Count>(outer, v);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) v[Pair::points + i] = d[2 * i + 1];
  }
  template <int Count = outputs, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    Pair::template output<Count>(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) y[i] = y[i] + m[Pair::points + i];
  }
  template <int Count = outputs, class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {
    Pair::template spread<Count>(y, m);
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) m[Pair::points + i] = y[i];
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V* g) {
    Pair::gather(u, g[0], g[2]);
    g[1] = u[Pair::points];
  }
};

using WinogradStrided4 = WinogradStrided<WinogradPair4>;

}  // namespace tenon::cpu
