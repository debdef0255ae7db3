// Tiles of scores between two sets of rows that are used as soon as they are computed and never stored: the
// basis of nearest-centre and nearest-neighbour search. The layout is that of the packed matrix product.
//
//   tile rows      `tile_rows` rows of one set, each contiguous:        a[p0·rows + r·score_depth + (p - p0)]
//   panel columns  `tile_columns` rows of the other set, interleaved:   b[p·columns + j]
// with p0 the first term of p's block of score_depth terms.
#pragma once

#include <algorithm>
#include <cstring>

#include "tenon/backend/cpu/run_tiles.hpp"
#include "tenon/backend/cpu/scratch.hpp"

namespace tenon::cpu {

// Terms of a tile of rows that lie side by side: 14 rows of them fill half of the first-level cache.
inline constexpr Index score_depth = 256;

template <class Isa>
inline constexpr Index score_rows = Isa::bytes == 64 ? 14 : 6;
template <class Isa>
inline constexpr Index score_columns = Index{Isa::vectors} * lanes_of<float, Isa>;

// Elements of a packed tile of rows and of a packed panel, for rows of d terms.
template <class Isa>
constexpr Index packed_rows_size(Index d) {
  return (d + score_depth - 1) / score_depth * score_depth * score_rows<Isa>;
}
template <class Isa>
constexpr Index packed_panel_size(Index d) {
  return d * score_columns<Isa>;
}

// The rows x[0 … count) of d terms as a tile; rows beyond `count` are zero.
template <class Isa>
void pack_rows(const float* x, Index count, Index d, float* out) {
  for (Index p0 = 0; p0 < d; p0 += score_depth) {
    const Index depth = std::min(score_depth, d - p0);
    float* block = out + p0 * score_rows<Isa>;
    for (Index r = 0; r < score_rows<Isa>; ++r) {
      if (r < count)
        std::copy_n(x + r * d + p0, depth, block + r * score_depth);
      else
        std::fill_n(block + r * score_depth, depth, 0.0f);
    }
  }
}

// One row as column `column` of a panel.
template <class Isa>
void pack_column(const float* row, Index d, Index column, float* panel) {
  for (Index p = 0; p < d; ++p) panel[p * score_columns<Isa> + column] = row[p];
}

// What a tile holds for each pair of rows.
enum class Score { product, l1, chi2 };  // Σ a·b, Σ |a-b|, Σ (a-b)²/(a+b)

// L1 and chi² of half a tile's rows at a time, so that the sums stay in registers beside their operands.
template <Score score, class Isa>
struct DifferenceTile {
  Index depth;
  const float* a;
  const float* b;
  float* tile;

  [[gnu::always_inline]] void operator()() const {
    typedef float Vector __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    typedef std::int32_t Bits __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    constexpr int lanes = Isa::bytes / 4, half = score_rows<Isa> / 2;
    for (int first = 0; first < score_rows<Isa>; first += half) {
      Vector sum[half][Isa::vectors] = {};
      for (Index p = 0; p < depth; ++p) {
        Vector column[Isa::vectors];
        for (int v = 0; v < Isa::vectors; ++v) {
          column[v] = *reinterpret_cast<const Vector*>(b + (p * Isa::vectors + v) * lanes);
        }
#pragma GCC unroll 8
        for (int i = 0; i < half; ++i) {
          const Vector row = Vector{} + a[(first + i) * score_depth + p];
#pragma GCC unroll 4
          for (int v = 0; v < Isa::vectors; ++v) {
            const Vector difference = column[v] - row;
            if constexpr (score == Score::l1) {
              sum[i][v] += (Vector)((Bits)difference & 0x7FFFFFFF);
            } else {
              const Vector total = column[v] + row;  // where it is 0, so is the difference
              sum[i][v] += difference * difference / (total > 1e-37f ? total : Vector{} + 1e-37f);
            }
          }
        }
      }
      for (int i = 0; i < half; ++i) {
        for (int v = 0; v < Isa::vectors; ++v) {
          *reinterpret_cast<Vector*>(tile + ((first + i) * Isa::vectors + v) * lanes) = sum[i][v];
        }
      }
    }
  }
};

// tile (rows,columns) of scores over all d terms.
template <Score score, class Isa>
void score_tile(Index d, const float* a, const float* b, float* tile) {
  constexpr Index rows = score_rows<Isa>, columns = score_columns<Isa>;
  for (Index p0 = 0; p0 < d; p0 += score_depth) {
    const Index depth = std::min(score_depth, d - p0);
    alignas(64) float part[rows * columns];
    float* out = p0 == 0 ? tile : part;
    if constexpr (score == Score::product) {
      run_tile<float, Isa, rows, Isa::vectors>(depth, PackedRows<float, score_depth, rows>{a + p0 * rows},
                                               b + p0 * columns, columns, Store::plain, out, columns);
    } else {
      CompiledFor<Isa>::run(DifferenceTile<score, Isa>{depth, a + p0 * rows, b + p0 * columns, out});
    }
    if (p0 > 0) {
      for (Index i = 0; i < rows * columns; ++i) tile[i] += part[i];
    }
  }
}

}  // namespace tenon::cpu
