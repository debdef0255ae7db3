// The innermost loop of matrix multiplication: a tile of C held entirely in vector registers.
#pragma once

#include <type_traits>

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// Most terms of a packed block: a strip of A (12 KB of floats) then stays in the first-level cache while panels of
// B (128 KB) come by from the second. With fewer terms C is read and written more often.
inline constexpr Index gemm_depth = 512;

// How the rows of A under a tile lie in memory. They are read in runs: run r, which begins with term `start`,
// has length(r) terms or what is left of them, and term start + p of row i is at from(r, start)[of(i, p)].
// ask<Rows>(r, start) asks for what comes later, until asked(). Where there is `apart`, rows are a stride apart.

// In a packed panel of `PanelRows` rows: runs of `Chunk` terms a row.
template <class T, Index Chunk, Index PanelRows>
struct PackedRows {
  const T* data;

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

  static constexpr bool apart = true;
  static constexpr bool steady = true;  // whatever the depth, a run is short
  static constexpr Index length(Index) { return 16; }
  const T* from(Index, Index start) const { return data + start; }
  Index of(Index i, Index p) const { return i * stride + p; }
  template <int Rows>
  [[gnu::always_inline]] void ask(Index, Index start) const {
    if (!next) return;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) __builtin_prefetch(next + i * stride + start);
  }
  void asked() { next = nullptr; }
  void move(Index values) { data += values, next = next ? next + values : nullptr; }
};

// In a transposed matrix: the rows side by side, term after term.
template <class T>
struct RowsTogether {
  const T* data;
  Index stride;
  bool ask_ahead = false;

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
  void asked() { ask_ahead = false; }
  void move(Index values) { data += values; }
};

// Copied from a transposed matrix: `Rows` rows side by side, term after term.
template <class T, int Rows>
struct RowsCopied {
  const T* data;

  static constexpr Index length(Index) { return gemm_depth; }
  const T* from(Index, Index start) const { return data + start * Rows; }
  static constexpr Index of(Index i, Index p) { return p * Rows + i; }
  template <int>
  void ask(Index, Index) const {}
  void move(Index values) { data += values; }
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

  Index length(Index r) const { return runs[r].length; }
  const T* from(Index r, Index) const { return data + runs[r].offset; }
  Index of(Index i, Index p) const { return row[i] + p * step; }
  template <int>
  void ask(Index, Index) const {}
  void asked() {}
};

// Windows `stride` apart, with a table of where their terms are: fewer addresses than rows.
template <class T>
struct TermsInTable {
  const T* data;
  const Index* term;
  Index stride;

  static constexpr Index length(Index) { return gemm_depth; }
  const T* from(Index, Index) const { return data; }
  Index of(Index i, Index p) const { return i * stride + term[p]; }
  template <int>
  void ask(Index, Index) const {}
  void asked() {}
};

// Runs of 16 terms: what Winograd's transforms write and read.
inline constexpr Index row_runs = 16;

// The panel of B after this one, in main memory: the processor by itself fetches it hardly sooner than it is used.
// While the tiles of this one are made, `lines` cache lines of it are asked for with each run of terms, up to the
// second-level cache.
template <class T>
struct NextPanel {
  const T* from = nullptr;
  Index values = 0, lines = 0;

  static constexpr Index line = 64 / static_cast<Index>(sizeof(T));

  NextPanel() = default;
  // Asked for by `tiles` tiles of `terms` terms; none if null.
  NextPanel(const T* panel, Index size, Index tiles, Index terms) : from(panel), values(size) {
    const Index runs = tiles * terms / row_runs;
    if (panel && runs > 0) lines = (size / line + runs - 1) / runs;
  }

  [[gnu::always_inline]] void ask(Index run) const {
    for (Index q = run * lines; q < (run + 1) * lines; ++q) __builtin_prefetch(from + q * line, 0, 2);
  }
  // After a tile.
  void move(Index terms) {
    const Index asked = terms / row_runs * lines * line;
    from += asked;
    values -= asked;
    if (values <= 0) lines = 0;
  }
};

// What happens to a finished tile or to finished parts of rows: nothing.
struct LeaveAsIs {
  template <class T>
  void operator()(Index, Index, Index, T*) const {}
};

// From one tile to the next: values of A, B and C, and rows and columns of C.
struct TileStep {
  Index a = 0, b = 0, c = 0, i = 0, j = 0;
};

// C rows (Rows × Vectors·lanes) at c, `ldc` apart: = A·B, or += where `add`. Term p of B is at b[p·step …]:
// the row of a packed panel, or of a matrix. With `finish`, an Epilogue, the tile at (i, j) of C is finished. The
// residual that is asked for is that of the tile `asked` further on.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish = LeaveAsIs>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const Left& left, const T* __restrict b, Index step,
                                                 bool add, T* __restrict c, Index ldc, const Finish* finish = nullptr,
                                                 Index i = 0, Index j = 0, const TileStep& asked = {},
                                                 const NextPanel<T>& next = {}) {
  using V = Vec<T, Isa>;
  constexpr int lanes = lanes_of<T, Isa>;
  constexpr bool finishes = !std::is_same_v<Finish, LeaveAsIs>;
  constexpr bool whole = requires { Left::whole; };
  // Where the compiler sees single terms or few rows, it would read B from memory for each row.
  constexpr bool holds = [] {
    if constexpr (requires { Left::single; }) return Left::single || Rows <= 4;
    return Rows <= 4;
  }();
  // C is far away: it is asked for while the sums are made. A row a run, where there are enough runs: all at once they
  // keep B waiting, which comes from the second-level cache.
  constexpr int line = 64 / static_cast<int>(sizeof(T));
  const auto ask_for_row = [&](Index r) __attribute__((always_inline)) {
    for (int q = 0; q < Vectors * lanes; q += line) __builtin_prefetch(c + r * ldc + q, 1);
  };
  constexpr bool steady = requires { Left::steady; };
  if constexpr (!whole && !steady) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) ask_for_row(r);
  }
  if constexpr (finishes) {
    if (finish && finish->residual) {
      const T* more = finish->residual + (i + asked.i) * finish->row + j + asked.j;
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        for (int q = 0; q < Vectors * lanes; q += line) __builtin_prefetch(more + r * finish->row + q);
      }
    }
  }
  // Three rows a stride apart share an address that moves with the terms: there are few registers for offsets.
  constexpr bool apart = requires { Left::apart; };
  constexpr int sharing = apart ? 3 : Rows, addresses = (Rows + sharing - 1) / sharing;
  V sum[Rows][Vectors] = {};
  for (Index run = 0, start = 0; start < depth; ++run) {
    left.template ask<Rows>(run, start);
    if constexpr (steady) {
      if (run < Rows) ask_for_row(run);
    }
    const T* a[addresses] = {left.from(run, start)};
    if constexpr (apart) {
#pragma GCC unroll 6
      for (int t = 0; t < addresses; ++t) {
        a[t] = a[0] + left.of(sharing * t, 0);
        asm("" : "+r"(a[t]));
      }
    }
    const Index count = whole ? left.length(run) : std::min(left.length(run), depth - start);
    start += count;
    if constexpr (whole) next.ask(run);
    for (Index p = 0; p < count; ++p, b += step) {
      V row[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        load<T, Isa>(b + v * lanes, row[v]);
        if constexpr (holds) hold(row[v]);
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const T value = a[r / sharing][left.of(r % sharing, apart ? 0 : p)];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[r][v] += value * row[v];
      }
#pragma GCC unroll 6
      for (int t = 0; t < addresses && apart; ++t) ++a[t];
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        V more;
        load<T, Isa>(c + r * ldc + v * lanes, more);
        sum[r][v] += more;
      }
    }
  }
  if constexpr (finishes) {
    if (finish) finish->template on_tile<Isa>(i, j, sum);
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r, c += ldc) {
    asm("" : "+r"(c));  // or the compiler works out all the addresses beforehand and runs out of registers
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store<T, Isa>(sum[r][v], c + v * lanes);
  }
}

// `count` tiles, one after the other, with the loop inside: by itself, what surrounds a tile takes as long as
// eight of its terms.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish = LeaveAsIs>
[[gnu::noinline]] void run_tiles(Index count, const TileStep& by, Index depth, const Left& first, const T* b,
                                 Index step, bool add, T* c, Index ldc, const Finish* finish, Index i,
                                 Index j) {
  // With few terms a tile is made before memory answers.
  const TileStep asked = depth < 128 ? by : TileStep{};
  CompiledFor<Isa>::run([&] {
    Left left = first;
    for (; count > 0; --count, b += by.b, c += by.c, i += by.i, j += by.j) {
      multiply_tile<T, Isa, Rows, Vectors>(depth, left, b, step, add, c, ldc, finish, i, j, asked);
      if constexpr (requires { left.move(by.a); }) {
        if (by.a != 0) {
          left.move(by.a);
          continue;
        }
      }
      if constexpr (requires { left.asked(); }) left.asked();
    }
  });
}

// The tile as compiled for an instruction set: a function of its own, which all that multiply share.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish = LeaveAsIs>
[[gnu::noinline]] void run_tile(Index depth, const Left& left, const T* b, Index step, bool add, T* c,
                                Index ldc, const Finish* finish = nullptr, Index i = 0, Index j = 0) {
  CompiledFor<Isa>::run(
      [&] { multiply_tile<T, Isa, Rows, Vectors>(depth, left, b, step, add, c, ldc, finish, i, j); });
}

}  // namespace tenon::cpu
