// The innermost loop of matrix multiplication: a tile of C held entirely in vector registers.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// Most terms of a packed block: 8 rows of A (8 KB) and 32 columns of B (32 KB) then share the 48 KB
// first-level cache with the rows of C.
inline constexpr Index gemm_depth = 256;

// The two ways in which a packed panel of A (rows,depth) may lie in memory. Element (i,p) is at
//   (p/chunk)·chunk·rows + i·chunk + p%chunk:
// runs of 16 terms a row, as rows of a matrix and patches of a picture are copied, or with chunk 1 the rows
// side by side, as a transposed matrix is copied.
inline constexpr Index row_runs = 16, rows_interleaved = 1;

// C rows (Rows × Vectors·lanes) at c, `ldc` apart: = A·B, or += where `add`. a as above, in a panel that may
// have more rows than the tile; b[p·columns + j].
template <class T, class Isa, int Rows, int Vectors, Index Chunk, int PanelRows = Rows>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const T* __restrict a, const T* __restrict b,
                                                 bool add, T* __restrict c, Index ldc) {
  using V = Vec<T, Isa>;
  constexpr int lanes = lanes_of<T, Isa>;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {  // C is far away: ask for it while the sums are made
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * ldc + v * lanes, 1);
  }
  V sum[Rows][Vectors] = {};
  for (Index start = 0; start < depth; start += Chunk, a += Chunk * PanelRows) {
    const Index count = std::min(Chunk, depth - start);
    for (Index p = 0; p < count; ++p, b += Vectors * lanes) {
      V row[Vectors];
      for (int v = 0; v < Vectors; ++v) load<T, Isa>(b + v * lanes, row[v]);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const T value = a[i * Chunk + p];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[i][v] += value * row[v];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      T* out = c + i * ldc + v * lanes;
      if (add) {
        V before;
        load<T, Isa>(out, before);
        sum[i][v] += before;
      }
      store<T, Isa>(sum[i][v], out);
    }
  }
}

// The tile as compiled for an instruction set.
template <class T, class Isa, int Rows, int Vectors, Index Chunk>
void run_tile(Index depth, const T* a, const T* b, bool add, T* c, Index ldc) {
  CompiledFor<Isa>::run([=] { multiply_tile<T, Isa, Rows, Vectors, Chunk>(depth, a, b, add, c, ldc); });
}

}  // namespace tenon::cpu
