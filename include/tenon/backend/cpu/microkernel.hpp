// The innermost loop of matrix multiplication: a tile of C held entirely in vector registers.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// Most terms of a packed block: 8 rows of A (8 KB) and 32 columns of B (32 KB) then share the 48 KB
// first-level cache with the rows of C.
inline constexpr Index gemm_depth = 256;

// How the rows of A under a tile lie in memory. They are read a few terms at a time: term start + p of row i
// is at from(start)[of(i, p)]; ask<Rows>(start) asks for what comes later, until asked().

// In a packed panel of `Rows` rows: runs of `Chunk` terms a row.
template <class T, Index Chunk, Index PanelRows>
struct PackedRows {
  static constexpr Index run = Chunk;
  const T* data;

  const T* from(Index start) const { return data + start * PanelRows; }
  static constexpr Index of(Index i, Index p) { return i * Chunk + p; }
  template <int Rows>
  void ask(Index) const {}
};

// In a matrix, row after row. `next` is where the rows begin that are wanted after these, or null.
template <class T>
struct RowsApart {
  static constexpr Index run = 16;
  const T* data;
  Index stride;
  const T* next = nullptr;

  const T* from(Index start) const { return data + start; }
  Index of(Index i, Index p) const { return i * stride + p; }
  template <int Rows>
  [[gnu::always_inline]] void ask(Index start) const {
    if (!next) return;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * stride + start);
  }
  void asked() { next = nullptr; }
};

// In a transposed matrix: the rows side by side, term after term.
template <class T>
struct RowsTogether {
  static constexpr Index run = 8;
  const T* data;
  Index stride;
  bool ask_ahead = false;

  const T* from(Index start) const { return data + start * stride; }
  Index of(Index i, Index p) const { return p * stride + i; }
  template <int Rows>
  [[gnu::always_inline]] void ask(Index start) const {
    if (!ask_ahead) return;
#pragma GCC unroll 8
    for (Index p = run; p < 2 * run; ++p) __builtin_prefetch(data + (start + p) * stride);
  }
  void asked() { ask_ahead = false; }
};

// Runs of 16 terms: what Winograd's transforms write and read.
inline constexpr Index row_runs = 16;

// C rows (Rows × Vectors·lanes) at c, `ldc` apart: = A·B, or += where `add`. Term p of B is at b[p·step …]:
// the row of a packed panel, or of a matrix.
template <class T, class Isa, int Rows, int Vectors, class Left>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const Left& left, const T* __restrict b,
                                                 Index step, bool add, T* __restrict c, Index ldc) {
  using V = Vec<T, Isa>;
  constexpr int lanes = lanes_of<T, Isa>;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {  // C is far away: ask for it while the sums are made
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * ldc + v * lanes, 1);
  }
  V sum[Rows][Vectors] = {};
  for (Index start = 0; start < depth; start += Left::run) {
    left.template ask<Rows>(start);
    const T* __restrict a = left.from(start);
    const Index count = std::min(Left::run, depth - start);
    for (Index p = 0; p < count; ++p, b += step) {
      V row[Vectors];
      for (int v = 0; v < Vectors; ++v) load<T, Isa>(b + v * lanes, row[v]);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const T value = a[left.of(i, p)];
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

// The tile as compiled for an instruction set: a function of its own, which all that multiply share.
template <class T, class Isa, int Rows, int Vectors, class Left>
[[gnu::noinline]] void run_tile(Index depth, const Left& left, const T* b, Index step, bool add, T* c,
                                Index ldc) {
  CompiledFor<Isa>::run([&] { multiply_tile<T, Isa, Rows, Vectors>(depth, left, b, step, add, c, ldc); });
}

}  // namespace tenon::cpu
