// Winograd's transform F(4,4): four outputs of a filter with four taps, along one axis.
#pragma once

#include "tenon/backend/cpu/winograd_transform.hpp"

namespace tenon::cpu {

// Interpolation at 0, ±1, ±2, -½, ∞. With -½ and not ½ the rounding errors are half as large.
struct WinogradFourTaps : WinogradTile<4, 4> {
  using Data = WinogradFourTaps;

  template <int = steps, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    const V even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1], next = d[5] - 4.0f * d[3];
    const V one = even + 0.5f * odd, one_later = next + 0.5f * even;
    const V a = d[4] - d[2], b = d[3] - d[1], c = d[5] - d[3];
    const V two = 2.0f * a + b, two_later = c + 0.5f * a;
    const V q = even + (4.0f * d[0] - d[2]), q1 = next + (4.0f * d[1] - d[3]),
            q2 = d[6] - 4.0f * d[4] + (4.0f * d[2] - d[4]);
    v[0] = q1 + 0.5f * q;
    v[1] = one_later + one;
    v[2] = one_later - one;
    v[3] = two_later + two;
    v[4] = two_later - two;
    v[5] = q1;
    v[6] = q2 + 0.5f * q1;
  }
  template <int = steps, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    const V a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
    y[0] = m[0] + a + c + m[5];
    y[1] = b + 2.0f * e - 0.5f * m[5];
    y[2] = a + 4.0f * c + 0.25f * m[5];
    y[3] = b + 8.0f * e - 0.125f * m[5] + m[6];
  }
  template <int = steps, class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {
    const V a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4.0f * y[2], e = 2.0f * y[1] + 8.0f * y[3];
    m[0] = y[0];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = c + e;
    m[4] = c - e;
    m[5] = y[0] - 0.5f * y[1] + 0.25f * y[2] - 0.125f * y[3];
    m[6] = y[3];
  }
  template <class V>
  [[gnu::always_inline]] static void filter(const V* g, V* u) {
    const V a = g[0] + g[2], b = g[1] + g[3], c = g[0] + 4.0f * g[2], e = 2.0f * g[1] + 8.0f * g[3];
    u[0] = g[0] * 0.5f;
    u[1] = (a + b) * (-1.0f / 9);
    u[2] = (a - b) * (1.0f / 3);
    u[3] = (c + e) * (1.0f / 60);
    u[4] = (c - e) * (-1.0f / 36);
    u[5] = (g[0] - 0.5f * g[1] + 0.25f * g[2] - 0.125f * g[3]) * (-32.0f / 45);
    u[6] = g[3];
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V* g) {
    const V one = u[1] * (-1.0f / 9), minus_one = u[2] * (1.0f / 3), two = u[3] * (1.0f / 60),
            minus_two = u[4] * (-1.0f / 36), half = u[5] * (-32.0f / 45);
    const V a = one + minus_one, b = one - minus_one, c = two + minus_two, e = two - minus_two;
    g[0] = u[0] * 0.5f + a + c + half;
    g[1] = b + 2.0f * e - 0.5f * half;
    g[2] = a + 4.0f * c + 0.25f * half;
    g[3] = b + 8.0f * e - 0.125f * half + u[6];
  }
};

}  // namespace tenon::cpu
