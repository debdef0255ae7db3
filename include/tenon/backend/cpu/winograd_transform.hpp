// The transforms of Winograd's minimal filtering F(m,r) (Winograd 1980; Lavin & Gray 2016, "Fast algorithms
// for convolutional neural networks"), along one axis. m outputs of a filter with r taps come from m + r - 1
// inputs d by
//
//   y = Aᵀ [ (G g) ⊙ (Bᵀ d) ],
//
// with m + r - 1 multiplications in place of rm. In two dimensions each transform is applied to columns and rows:
// F(4×4,3×3) multiplies 36 times where the definition does 144 times. The adjoints (A, Gᵀ) give the gradient
// of g.
#pragma once

#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// A transform says, along one axis: `outputs` of a tile come from `inputs` by `points` products with the
// `filters` values that a filter turns into. Here each product has a value of its own.
//
// A tile at the end of a line may have outputs to spare. They come in `steps`; a tile of fewer steps takes fewer
// points, with the same values of the filter, where the transform is `divisible`.
template <int Outputs, int Taps = 3>
struct WinogradTile {
  static constexpr int outputs = Outputs, taps = Taps, inputs = Outputs + Taps - 1, points = inputs, filters = points,
                       stride = 1, steps = Outputs;
  static constexpr bool divisible = false;

  static constexpr int filter_of(int point) { return point; }
  // The first input of output y, where nothing is padded.
  static constexpr Index input_of(Index y) { return y; }
  static constexpr bool takes(int, int) { return true; }
};

// V is a scalar or a vector register. Interpolation at 0, ±1, ∞.
struct Winograd2 : WinogradTile<2> {
  using Data = Winograd2;  // the transform of the gradient of the inputs, with the filter turned round

  template <int = steps, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {  // v = Bᵀ d
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  template <int = steps, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {  // y = Aᵀ m
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  template <int = steps, class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {  // m = A y
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = -y[1];
  }
  template <class V>
  [[gnu::always_inline]] static void filter(const V* g, V* u) {  // u = G g
    u[0] = g[0];
    u[1] = (g[0] + g[1] + g[2]) * 0.5f;
    u[2] = (g[0] - g[1] + g[2]) * 0.5f;
    u[3] = g[2];
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V* g) {  // g = Gᵀ u
    g[0] = u[0] + (u[1] + u[2]) * 0.5f;
    g[1] = (u[1] - u[2]) * 0.5f;
    g[2] = (u[1] + u[2]) * 0.5f + u[3];
  }
};

// Interpolation at 0, ±1, ±2, ∞; of a short tile at 0, ∞, 1, and the more steps at -1 and 2.
struct Winograd4 : WinogradTile<4> {
  using Data = Winograd4;
  static constexpr bool divisible = true;

  static constexpr bool takes(int count, int point) { return point <= count || point == 5; }

  template <int Count = steps, class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {
    if constexpr (Count == 1) {
      v[0] = 4.0f * (d[0] - d[1]);
      v[1] = -6.0f * d[1];
      v[5] = d[2] - d[1];
      return;
    }
    if constexpr (Count == 2) {
      v[0] = 4.0f * (d[0] - d[2]);
      v[1] = -3.0f * (d[2] + d[1]);
      v[2] = -3.0f * (d[2] - d[1]);
      v[5] = d[3] - d[1];
      return;
    }
    if constexpr (Count == 3) {
      const V a = d[3] - d[1], b = d[2] - d[0];
      v[0] = 2.0f * a - 4.0f * b;
      v[1] = 3.0f * (a - d[2] - d[1]);
      v[2] = a + 3.0f * (d[1] - d[2]);
      v[3] = 4.0f * a;
      v[5] = d[4] - d[2] - 2.0f * a;
      return;
    }
    const V a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1], c = d[4] - d[2], e = d[3] - d[1];
    v[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
    v[1] = a + b;
    v[2] = a - b;
    v[3] = c + 2.0f * e;
    v[4] = c - 2.0f * e;
    v[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
  }
  template <int Count = steps, class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {
    if constexpr (Count == 1) {
      y[0] = m[0] + m[1] + m[5];
      return;
    }
    const V a = m[1] + m[2], b = m[1] - m[2];
    if constexpr (Count == 2) {
      y[0] = m[0] + a;
      y[1] = b + m[5];
      return;
    }
    if constexpr (Count == 3) {
      y[0] = m[0] + a + m[3];
      y[1] = b + 2.0f * m[3];
      y[2] = a + 4.0f * m[3] + m[5];
      return;
    }
    const V c = m[3] + m[4], e = m[3] - m[4];
    y[0] = m[0] + a + c;
    y[1] = b + 2.0f * e;
    y[2] = a + 4.0f * c;
    y[3] = b + 8.0f * e + m[5];
  }
  template <int Count = steps, class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {
    m[0] = y[0];
    m[5] = y[Count - 1];
    if constexpr (Count == 1) {
      m[1] = y[0];
      return;
    }
    if constexpr (Count == 2) {
      m[1] = y[0] + y[1];
      m[2] = y[0] - y[1];
      return;
    }
    if constexpr (Count == 3) {
      const V a = y[0] + y[2];
      m[1] = a + y[1];
      m[2] = a - y[1];
      m[3] = y[0] + 2.0f * y[1] + 4.0f * y[2];
      return;
    }
    const V a = y[0] + y[2], b = y[1] + y[3], c = y[0] + 4.0f * y[2], e = 2.0f * y[1] + 8.0f * y[3];
    m[1] = a + b;
    m[2] = a - b;
    m[3] = c + e;
    m[4] = c - e;
  }
  template <class V>
  [[gnu::always_inline]] static void filter(const V* g, V* u) {
    const V a = (g[0] + g[2]) * (-1.0f / 6), b = g[1] * (-1.0f / 6);
    const V c = g[0] * (1.0f / 24) + g[2] * (1.0f / 6), e = g[1] * (1.0f / 12);
    u[0] = g[0] * 0.25f;
    u[1] = a + b;
    u[2] = a - b;
    u[3] = c + e;
    u[4] = c - e;
    u[5] = g[2];
  }
  template <class V>
  [[gnu::always_inline]] static void gather(const V* u, V* g) {
    const V a = (u[1] + u[2]) * (-1.0f / 6), c = u[3] + u[4];
    g[0] = u[0] * 0.25f + a + c * (1.0f / 24);
    g[1] = (u[2] - u[1]) * (1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
    g[2] = a + c * (1.0f / 6) + u[5];
  }
};

// Applies `line` (From → To values) to the columns and then to the rows of a square. read(x, V*) gives the
// values of a column, write(y, const V*) takes those of a row.
template <int From, int To, class V, class Read, class Line, class Write>
[[gnu::always_inline]] inline void apply_both_ways(const Read& read, const Line& line, const Write& write) {
  V half[To * From];
#pragma GCC unroll 9
  for (int x = 0; x < From; ++x) {
    V column[From], result[To];
    read(x, column);
    line(column, result);
#pragma GCC unroll 9
    for (int y = 0; y < To; ++y) half[y * From + x] = result[y];
  }
#pragma GCC unroll 9
  for (int y = 0; y < To; ++y) {
    V row[To];
    line(half + y * From, row);
    write(y, row);
  }
}

// The same between two arrays.
template <int From, int To, class V, class Line>
[[gnu::always_inline]] inline void apply_both_ways(const V* in, V* out, const Line& line) {
  apply_both_ways<From, To, V>(
      [&](int x, V* column) {
        for (int y = 0; y < From; ++y) column[y] = in[y * From + x];
      },
      line,
      [&](int y, const V* row) {
        for (int x = 0; x < To; ++x) out[y * To + x] = row[x];
      });
}

// As above, in few instructions and with a line of its own for each direction. read(y, x, V&) gives a value, write(y,
// x, const V&) takes one.
template <int From, int To, class V, class Read, class Down, class Across, class Write>
[[gnu::always_inline]] inline void apply_short(const Read& read, const Down& down, const Across& across,
                                               const Write& write) {
  V half[To * From];
#pragma GCC unroll 1
  for (int x = 0; x < From; ++x) {
    V column[From], result[To]{};
    for (int y = 0; y < From; ++y) read(y, x, column[y]);
    down(column, result);
    for (int y = 0; y < To; ++y) half[y * From + x] = result[y];
  }
#pragma GCC unroll 1
  for (int y = 0; y < To; ++y) {
    V row[To]{};
    across(half + y * From, row);
    for (int x = 0; x < To; ++x) write(y, x, row[x]);
  }
}

}  // namespace tenon::cpu
