// How the rows of A under a register tile lie in memory.
#pragma once

#include "tenon/backend/cpu/gemm_ahead.hpp"
#include "tenon/backend/cpu/isa.hpp"
#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// Most terms of a packed block: a strip of A (12 KB of floats) then stays in the first-level cache while panels of
// B (128 KB) come by from the second. With fewer terms C is read and written more often.
inline constexpr Index gemm_depth = 512;

// Terms of a run of what is copied, and of what Winograd's transforms write and read.
inline constexpr Index row_runs = 16;

// Rows are read in runs: run r, which begins with term `start`, has length(r) terms or what is left of them, and term
// start + p of row i is at from(r, start)[of(i, p)]. ask<Rows>(r, start) asks for what comes later, until asked().
//
// Where there is `apart`, rows are a stride apart and terms side by side; with `together` terms are a stride apart and,
// but for `anywhere`, rows side by side; with `anywhere` alone terms are side by side.
// Where there is `fixed`, the compiler knows where both are; with `in_eights` it does so for each eight terms alike.
// With `endless` a run goes on in the next, and is cut short only while something is to be asked for, as asks() says.

// In a packed panel of `PanelRows` rows: runs of `Chunk` terms a row.
template <class T, Index Chunk, Index PanelRows>
struct PackedRows {
  const T* data;

  static constexpr bool fixed = Chunk > 1;
  static constexpr Index length(Index) { return Chunk; }
  const T* from(Index, Index start) const { return data + start * PanelRows; }
  static constexpr Index of(Index i, Index p) { return i * Chunk + p; }
  template <int Rows>
  void ask(Index, Index) const {}
};

// In a panel that Winograd's transforms wrote: all runs are whole, so their length is known to the compiler,
// and C lies within reach.
template <class T, Index Chunk, Index PanelRows>
struct WholeRuns : PackedRows<T, Chunk, PanelRows> {
  static constexpr bool whole = true;
  static constexpr bool single = Chunk == 1;  // a term a run
};

// In a matrix, row after row. `next` is where the rows begin that are wanted after these, or null.
template <class T>
struct RowsApart {
  const T* data;
  Index stride;
  const T* next = nullptr;

  static constexpr bool apart = true, endless = true;
  static constexpr bool steady = true;  // whatever the depth, a run is short
  static constexpr Index length(Index) { return values_of_line<T>; }
  const T* from(Index, Index start) const { return data + start; }
  Index of(Index i, Index p) const { return i * stride + p; }
  template <int Rows>
  [[gnu::always_inline]] void ask(Index, Index start) const {
    if (!next) return;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * stride + start);
  }
  bool asks() const { return next != nullptr; }
  void asked() { next = nullptr; }
  void move(Index values) { data += values, next = next ? next + values : nullptr; }
};

// In a transposed matrix: the rows side by side, term after term.
template <class T>
struct RowsTogether {
  const T* data;
  Index stride;
  bool ask_ahead = false;

  static constexpr bool together = true, endless = true;
  static constexpr Index run = 8;
  static constexpr Index length(Index) { return run; }
  const T* from(Index, Index start) const { return data + start * stride; }
  Index of(Index i, Index p) const { return p * stride + i; }
  template <int Rows>
  [[gnu::always_inline]] void ask(Index, Index start) const {
    if (!ask_ahead) return;
#pragma GCC unroll 8
    for (Index p = run; p < 2 * run; ++p) __builtin_prefetch(data + (start + p) * stride);
  }
  bool asks() const { return ask_ahead; }
  void asked() { ask_ahead = false; }
  void move(Index values) { data += values; }
};

// Copied from a transposed matrix: `Rows` rows side by side, term after term.
template <class T, int Rows>
struct RowsCopied {
  const T* data;

  static constexpr bool fixed = true, endless = true, in_eights = true;
  static constexpr Index length(Index) { return row_runs; }
  const T* from(Index, Index start) const { return data + start * Rows; }
  static constexpr Index of(Index i, Index p) { return p * Rows + i; }
  template <int>
  void ask(Index, Index) const {}
  static constexpr bool asks() { return false; }
  static constexpr AskedLines lines() { return {}; }
  void move(Index values) { data += values; }
};

// Rows that lie a stride apart, to be asked for; or none.
template <class T>
struct RowsToCome {
  const T* data = nullptr;
  Index stride = 0;
};

// Copied from rows that lie one after the other: eight terms of each of `Rows` rows, then the next eight. Rows where
// they lie, often a multiple of 1 KB apart, have each term in the same bank of the first-level cache. `next` are the
// rows that are copied after these.
template <class T, int Rows>
struct RowsInEights {
  const T* data;
  RowsToCome<T> next = {};

  static constexpr bool fixed = true, endless = true, in_eights = true;
  static constexpr int at_once = 8;
  static constexpr Index length(Index) { return row_runs; }
  const T* from(Index, Index start) const { return data + start * Rows; }
  static constexpr Index of(Index i, Index p) { return p / 8 * 8 * Rows + i * 8 + p % 8; }
  template <int>
  [[gnu::always_inline]] void ask(Index, Index start) const {
    if (!next.data) return;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) __builtin_prefetch(next.data + i * next.stride + start);
  }
  bool asks() const { return next.data != nullptr; }
  // The same eight terms of each of those rows, to be asked for with each eight terms of these.
  AskedLines lines() const { return {next.data, next.stride * static_cast<Index>(sizeof(T))}; }
  void move(Index values) { data += values; }

  // `depth` terms of row i, to the strip at `out`.
  template <class Isa>
  [[gnu::always_inline]] static void copy_row(const T* in, Index depth, Index i, T* out) {
    Index p = 0;
    for (; p + 8 <= depth; p += 8) {
#pragma GCC unroll 4
      for (Index q = 0; q < 8; q += lanes_of<T, Isa>) {
        Vec<T, Isa> v;
        load<T, Isa>(in + p + q, v);
        store<T, Isa>(v, out + of(i, p) + q);
      }
    }
    for (; p < depth; ++p) out[of(i, p)] = in[p];
  }
};

// Rows under a tile that copies each row of B, as it reads it, to the next place of `copy`.
template <class T, class Left>
struct Copying : Left {
  T* copy;
};

// Each row begins somewhere else, and all have the same runs from there: windows of a picture. Of a run the first
// `own` values are in no run of the row after it.
struct RowRun {
  Index offset, length, own = 0;
};

template <class T, int Rows>
struct RowsAnywhere {
  const T* data;
  const RowRun* runs;
  Index step;  // from one row to the next in a line of the picture; 0: nothing comes after these rows
  Index row[Rows];

  static constexpr bool anywhere = true;
  static constexpr bool steady = true;
  Index length(Index r) const { return runs[r].length; }
  const T* from(Index r, Index) const { return data + runs[r].offset; }
  Index of(Index i, Index p) const { return row[i] + p; }
  template <int>
  [[gnu::always_inline]] void ask(Index r, Index) const {
    if (step == 0 || runs[r].own == 0) return;
    const T* next = from(r, 0) + row[0] + Rows * step;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * step);
  }
  void asked() { step = 0; }
};

// The same from a table of where rows begin, with the terms of a run `step` apart: rows are windows and runs
// lie in them, or the rows are taps and the runs are lines of windows.
template <class T>
struct RowsInTable {
  const T* data;
  const RowRun* runs;
  const Index* row;
  Index step;

  static constexpr bool anywhere = true, together = true;
  Index length(Index r) const { return runs[r].length; }
  const T* from(Index r, Index) const { return data + runs[r].offset; }
  Index of(Index i, Index p) const { return row[i] + p * step; }
  template <int>
  void ask(Index, Index) const {}
  void asked() {}
};

// Taps side by side under a line of windows, which are the terms, `step` apart: runs are such lines.
template <class T>
struct TapsTogether {
  const T* data;
  const RowRun* runs;
  Index step;

  static constexpr bool together = true;
  static constexpr int at_once = 4;
  Index length(Index r) const { return runs[r].length; }
  const T* from(Index r, Index) const { return data + runs[r].offset; }
  Index of(Index i, Index p) const { return i + p * step; }
  template <int>
  void ask(Index, Index) const {}
};

}  // namespace tenon::cpu
