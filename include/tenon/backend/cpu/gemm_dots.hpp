// A product of few rows with a transposed matrix, as the linear layer of a small batch is: dot products of rows
// with rows. Each number of B is used so seldom that packing it would take longer than the product.
#pragma once

#include "tenon/backend/cpu/transpose.hpp"
#include "tenon/core/geometry.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

// Sixteen dot products at a time, `Rows` rows of A with 16/Rows rows of B, each summed in a register.
template <class T, class Isa, int Rows>
struct DotTile {
  static constexpr int columns = 16 / Rows, lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  const T* a[Rows];     // k values each
  const T* b[columns];  // k values each
  Index k;

  // dots[r·columns + q] = a[r] · b[q]
  [[gnu::always_inline]] void operator()(T* dots) const {
    V sum[16] = {};
    Index p = 0;
    for (; p + lanes <= k; p += lanes) {
      V left[Rows];
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) load<T, Isa>(a[r] + p, left[r]);
#pragma GCC unroll 16
      for (int q = 0; q < columns; ++q) {
        V right;
        load<T, Isa>(b[q] + p, right);
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) sum[r * columns + q] += left[r] * right;
      }
    }
    for (int first = 0; first < 16; first += lanes) {  // a register of results from as many registers of sums
      transpose<T, Isa>(sum + first);
      V total = sum[first];
      for (int i = 1; i < lanes; ++i) total += sum[first + i];
      store<T, Isa>(total, dots + first);
    }
    for (; p < k; ++p) {
      for (int i = 0; i < 16; ++i) dots[i] += a[i / columns][p] * b[i % columns][p];
    }
  }
};

// Whether a product is one for dot products.
inline bool gemm_dots_fits(const GemmGeometry& g) {
  return g.transpose_b && !g.transpose_a && g.m <= 8 && g.k >= 64;
}

// c (m,n) = alpha·a (m,k)·bᵀ (n,k) + beta·c
template <class T, class Isa>
void gemm_dots(const GemmGeometry& g, const T* a, const T* b, T* c) {
  const auto rows_at_a_time = [&]<int Rows>(std::integral_constant<int, Rows>) {
    using Tile = DotTile<T, Isa, Rows>;
    constexpr Index columns = Tile::columns;
    parallel_ranges((g.n + columns - 1) / columns, 65536 / (g.k * columns) + 1, [&](Index begin, Index end) {
      CompiledFor<Isa>::run([&] {
        const T alpha = static_cast<T>(g.alpha), beta = static_cast<T>(g.beta);
        for (Index j = begin * columns; j < std::min(g.n, end * columns); j += columns) {
          for (Index i = 0; i < g.m; i += Rows) {
            Tile tile{.a = {}, .b = {}, .k = g.k};  // the last row again, in place of one that lacks
            for (Index r = 0; r < Rows; ++r) tile.a[r] = a + std::min(i + r, g.m - 1) * g.k;
            for (Index q = 0; q < columns; ++q) tile.b[q] = b + std::min(j + q, g.n - 1) * g.k;
            T dots[16];
            tile(dots);
            for (Index r = 0; r < std::min<Index>(Rows, g.m - i); ++r) {
              for (Index q = 0; q < std::min(columns, g.n - j); ++q) {
                T& out = c[(i + r) * g.n + j + q];
                out = beta == T(0) ? alpha * dots[r * columns + q] : alpha * dots[r * columns + q] + beta * out;
              }
            }
          }
        }
      });
    });
  };
  if (g.m == 1) return rows_at_a_time(std::integral_constant<int, 1>());
  if (g.m == 2) return rows_at_a_time(std::integral_constant<int, 2>());
  rows_at_a_time(std::integral_constant<int, 4>());
}

}  // namespace tenon::cpu
