// The innermost loop of matrix multiplication: a tile of C held entirely in vector registers.
//
// One source serves every instruction set: it is written with the compilers' vector extensions, and each
// wrapper below compiles it for its processor. Which wrapper runs is decided when the program runs.
#pragma once

#include <cstddef>

#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// Depth of a packed block: 14 rows of A (14 KB) and 32 columns of B (32 KB) then share the 48 KB first-level
// cache. A compile-time constant, so that all rows of A are addressed from one register.
inline constexpr Index gemm_depth = 256;

// Register tiles: `rows` × `vectors`·(bytes/sizeof(T)) accumulators, two registers for B and one for A.
struct Baseline { static constexpr int bytes = 16, rows = 6, vectors = 2; };  // 16 registers: SSE2, NEON
struct Avx2 { static constexpr int bytes = 32, rows = 6, vectors = 2; };      // 16 registers
struct Avx512 { static constexpr int bytes = 64, rows = 14, vectors = 2; };   // 32 registers

template <class T, class Isa>
inline constexpr Index tile_rows = Isa::rows;
template <class T, class Isa>
inline constexpr Index tile_columns = Isa::vectors * Isa::bytes / static_cast<int>(sizeof(T));

// tile (rows,columns) = A·B over `depth` terms; a[i·gemm_depth + p], b[p·columns + j].
template <class T, class Isa>
[[gnu::always_inline]] inline void compute_tile(Index depth, const T* __restrict a, const T* __restrict b,
                                                T* __restrict tile) {
  typedef T Vector __attribute__((vector_size(Isa::bytes), aligned(sizeof(T))));
  constexpr int lanes = Isa::bytes / static_cast<int>(sizeof(T));
  Vector sum[Isa::rows][Isa::vectors] = {};
  for (Index p = 0; p < depth; ++p) {
    Vector row[Isa::vectors];
    for (int v = 0; v < Isa::vectors; ++v) {
      row[v] = *reinterpret_cast<const Vector*>(b + (p * Isa::vectors + v) * lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Isa::rows; ++i) {
      const T value = a[i * gemm_depth + p];
#pragma GCC unroll 4
      for (int v = 0; v < Isa::vectors; ++v) sum[i][v] += value * row[v];
    }
  }
  for (int i = 0; i < Isa::rows; ++i) {
    for (int v = 0; v < Isa::vectors; ++v) {
      *reinterpret_cast<Vector*>(tile + (i * Isa::vectors + v) * lanes) = sum[i][v];
    }
  }
}

// The tile as compiled for an instruction set.
template <class T, class Isa>
struct TileKernel {
  static void run(Index depth, const T* a, const T* b, T* tile) { compute_tile<T, Isa>(depth, a, b, tile); }
};

#if defined(__x86_64__)
template <class T>
struct TileKernel<T, Avx2> {
  [[gnu::target("avx2,fma")]] static void run(Index depth, const T* a, const T* b, T* tile) {
    compute_tile<T, Avx2>(depth, a, b, tile);
  }
};

template <class T>
struct TileKernel<T, Avx512> {
  [[gnu::target("avx512f,fma")]] static void run(Index depth, const T* a, const T* b, T* tile) {
    compute_tile<T, Avx512>(depth, a, b, tile);
  }
};

// Calls use(Isa{}) with the widest instruction set of this processor.
template <class Use>
void with_best_isa(Use&& use) {
  static const int level = __builtin_cpu_supports("avx512f") ? 2
                           : (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) ? 1 : 0;
  if (level == 2) return use(Avx512{});
  if (level == 1) return use(Avx2{});
  use(Baseline{});
}
#else
template <class Use>
void with_best_isa(Use&& use) { use(Baseline{}); }
#endif

}  // namespace tenon::cpu
