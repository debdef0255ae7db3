// Winograd's transforms for 3×3 convolution with stride 2 and padding 1, along one axis.
//
// Of the inputs, every second one meets the outer taps, y_i = g0 d_i + g2 d_{i+1}: minimal filtering with two
// taps. The others meet only the middle tap, one product each. Four outputs take 5 + 4 products in place of 12,
// which in two dimensions is 81 in place of 144. The four products with the middle tap share one value.
#pragma once

#include "tenon/backend/cpu/winograd_transform.hpp"

namespace tenon::cpu {

// F(4,2), y_i = g0 d_i + g1 d_{i+1}: interpolation at 0, ±1, 2, ∞.
struct WinogradPair4 {
  static constexpr int outputs = 4, points = 5;

  template <class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {  // v = Bᵀ d
    const V a = d[3] - d[2], b = 2.0f * d[1];
    v[0] = (d[3] - d[1]) + 2.0f * (d[0] - d[2]);
    v[1] = a - b;
    v[2] = (a - 2.0f * d[2]) + b;
    v[3] = d[3] - d[1];
    v[4] = b - d[2] + (d[4] - 2.0f * d[3]);
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {  // y = Aᵀ m
    const V a = m[1] + m[2], b = m[1] - m[2];
    y[0] = m[0] + a + m[3];
    y[1] = b + 2.0f * m[3];
    y[2] = a + 4.0f * m[3];
    y[3] = b + 8.0f * m[3] + m[4];
  }
  template <class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {  // m = A y
    const V a = y[0] + y[2], b = y[1] + y[3];
    m[0] = y[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = y[0] + 2.0f * y[1] + 4.0f * y[2] + 8.0f * y[3];
    m[4] = y[3];
  }
  template <class V>
  [[gnu::always_inline]] static void filter(V g0, V g1, V* u) {  // u = G g
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
  static constexpr int points = Pair::points + Pair::outputs, filters = Pair::points + 1, stride = 2;

  static constexpr int filter_of(int point) { return point < Pair::points ? point : Pair::points; }
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
  template <class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    Pair::input(d, v);
#pragma GCC unroll 4
    for (int i = 0; i < Pair::outputs; ++i) v[Pair::points + i] = d[i];
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    V outer[Pair::outputs];
    Pair::output(m, outer);
#pragma GCC unroll 4
    for (int i = 0; i < Pair::outputs; ++i) {
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
  template <class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    V outer[outputs + 1];
#pragma GCC unroll 5
    for (int i = 0; i <= outputs; ++i) outer[i] = d[2 * i];
    Pair::input(outer, v);
#pragma GCC unroll 4
    for (int i = 0; i < outputs; ++i) v[Pair::points + i] = d[2 * i + 1];
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    Pair::output(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < outputs; ++i) y[i] = y[i] + m[Pair::points + i];
  }
  template <class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {
    Pair::spread(y, m);
#pragma GCC unroll 4
    for (int i = 0; i < outputs; ++i) m[Pair::points + i] = y[i];
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V* g) {
    Pair::gather(u, g[0], g[2]);
    g[1] = u[Pair::points];
  }
};

using WinogradStrided4 = WinogradStrided<WinogradPair4>;

}  // namespace tenon::cpu
