// The innermost loop of matrix multiplication: a tile of C held entirely in vector registers.
#pragma once

#include <type_traits>

#include "tenon/backend/cpu/gemm_ahead.hpp"
#include "tenon/backend/cpu/isa.hpp"
#include "tenon/backend/cpu/multiply_add.hpp"
#include "tenon/backend/cpu/tile_frame.hpp"
#include "tenon/backend/cpu/tile_rows.hpp"

namespace tenon::cpu {

// What the loop over a tile's terms has to know of how its rows lie.
template <class Left, int Rows>
struct TermsOf {
  static constexpr bool apart = requires { Left::apart; };
  static constexpr bool together = requires { Left::together; };
  // Each with a register for its place.
  static constexpr bool anywhere = Rows <= 8 && requires { Left::anywhere; };
  static constexpr bool endless = requires { Left::endless; };
  static constexpr bool copies = requires { Left::copy; };
  static constexpr bool fixed = [] {
    if constexpr (requires { Left::fixed; }) return Left::fixed;
    return false;
  }();
  static constexpr int at_once = [] {
    if constexpr (requires { Left::at_once; }) return Left::at_once;
    return fixed || endless || anywhere ? 4 : 1;
  }();
  // What is held in registers for a term: the values of three rows, or else B's row.
  static constexpr bool holds_values = Rows == 3;
  // Where the compiler sees several terms, single ones or few rows, it would read B from memory for each row.
  static constexpr bool holds = [] {
    if constexpr (requires { Left::single; }) return Left::single || Rows <= 4;
    return Rows <= 4;
  }();
  // Three rows a stride apart share an address (x86 adds one or two strides by itself): there are few registers.
  static constexpr int sharing = apart ? 3 : Rows, addresses = (Rows + sharing - 1) / sharing;
};

// C rows (Rows × Vectors·lanes) at c, `ldc` apart: = A·B, stored as `into` says. Term p of B is at b[p·step …]:
// the row of a packed panel, or of a matrix. With `finish`, an Epilogue, the tile at (i, j) of C is finished. The
// places in C and in the residual that are asked for are those of the tile `asked` further on; of `next`, if not null,
// some is asked for with each run of terms.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish = LeaveAsIs>
[[gnu::always_inline]] inline void multiply_tile(Index depth, const Left& left, const T* __restrict b, Index step,
                                                 Store into, T* __restrict c, Index ldc, const Finish* finish = nullptr,
                                                 Index i = 0, Index j = 0, const TileStep& asked = {},
                                                 Ahead<T>* next = nullptr) {
  using V = Vec<T, Isa>;
  constexpr int lanes = lanes_of<T, Isa>;
  constexpr bool whole = requires { Left::whole; };
  constexpr bool steady = requires { Left::steady; };
  // C is far away: it is asked for while the sums are made. A row a run, where there are enough runs: all at once they
  // keep B waiting, which comes from the second-level cache.
  constexpr int line = values_of_line<T>;
  const Index asked_rows = into == Store::stream ? 0 : Rows;
  const auto ask_for_row = [&](Index r) __attribute__((always_inline)) {
    for (int q = 0; q < Vectors * lanes; q += line) __builtin_prefetch(c + asked.c + r * ldc + q, 1);
  };
  if constexpr (!whole && !steady) {
    if (into != Store::stream) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) ask_for_row(r);
    }
  }
  ask_for_residual<Rows, Vectors * lanes>(finish, i + asked.i, j + asked.j);
  using Terms = TermsOf<Left, Rows>;
  V sum[Rows][Vectors] = {};
  const T* a[Terms::addresses];
  Index once = 0, twice = 0;
  if constexpr (Terms::apart) once = left.of(1, 0), twice = left.of(2, 0);
  [[maybe_unused]] Index place[Rows];
  if constexpr (Terms::anywhere) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) place[r] = left.of(r, 0);
  }
  [[maybe_unused]] T* copy = nullptr;
  if constexpr (Terms::copies) copy = left.copy;
  // Adds some terms, the first of them number p of the run, with as little as possible between the multiplications:
  // where another program runs on the same core, each gets half of the instructions that it can start.
  const auto add_terms = [&]<int Count>(std::integral_constant<int, Count>, [[maybe_unused]] Index p)
      __attribute__((always_inline)) {
    constexpr bool several = Terms::at_once > 1, moves = !Terms::together && (several || Terms::apart);
    const auto value_of = [&](int r, int u) __attribute__((always_inline))->const T* {
      if constexpr (Terms::apart) {
        const int third = r % Terms::sharing;
        if (third == 0) asm("" : "+r"(once), "+r"(twice));  // or GCC adds u to both, in registers
        return a[r / Terms::sharing] + (third == 0 ? 0 : third == 1 ? once : twice) + u;
      } else if constexpr (Terms::anywhere) {
        asm("" : "+r"(place[r]));
        return a[0] + place[r] + (Terms::together ? 0 : u);
      } else {
        return a[0] + left.of(r, Terms::together ? 0 : several ? u : p);
      }
    };
#pragma GCC unroll 8
    for (int u = 0; u < Count; ++u) {
      if constexpr (Terms::holds_values) {
        V value[Rows] = {};
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          value[r] = *value_of(r, u) - V{};
          hold(value[r]);
        }
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          V row;
          multiply_row<T, Isa>(b + v * lanes, value, row, sum[0][v], sum[1][v], sum[2][v]);
          if constexpr (Terms::copies) store<T, Isa>(row, copy + v * lanes);
        }
      } else {
        V row[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          load<T, Isa>(b + v * lanes, row[v]);
          if constexpr (Terms::holds || Count > 1) hold(row[v]);
          if constexpr (Terms::copies) {
            __builtin_prefetch(b + 8 * step + v * lanes);  // far apart: the processor does not ask by itself
            store<T, Isa>(row[v], copy + v * lanes);
          }
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          if constexpr (Vectors == 2 && Count > 1 && in_one_piece<T, Isa>) {
            multiply_value<T, Isa>(value_of(r, u), row, sum[r][0], sum[r][1]);
          } else if constexpr (Vectors == 1 && repeats_values<T, Isa>) {
            multiply_repeated<T, Isa>(value_of(r, u), row[0], sum[r][0]);
          } else {
            const V value = *value_of(r, u) - V{};
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
              sum[r][v] += value * row[v];
              if constexpr (Count > 1) hold(sum[r][v]);
            }
            if constexpr (Count > 1) keep(value);
          }
        }
#pragma GCC unroll 4
        for (int v = 0; v < Vectors && Count > 1; ++v) keep(row[v]);
      }
      if constexpr (Terms::copies) {
        copy += Vectors * lanes;
        asm("" : "+r"(copy));
      }
      b += step;
      if constexpr (Count > 1) asm("" : "+r"(b));
      if constexpr (Terms::together) {
        a[0] += left.of(0, 1) - left.of(0, 0);
        asm("" : "+r"(a[0]));
      }
    }
#pragma GCC unroll 6
    for (int t = 0; t < Terms::addresses && moves; ++t) a[t] += Terms::fixed ? left.of(0, Count) : Count;
  };
  const auto begin = [&](Index run, Index start) __attribute__((always_inline)) {
    a[0] = left.from(run, start);
    if constexpr (Terms::apart) {
#pragma GCC unroll 6
      for (int t = 0; t < Terms::addresses; ++t) {
        a[t] = a[0] + left.of(Terms::sharing * t, 0);
        asm("" : "+r"(a[t]));
      }
    }
  };
  constexpr std::integral_constant<int, Terms::at_once> some;
  constexpr std::integral_constant<int, 1> one;
  const auto ask = [&](Index run, Index start) __attribute__((always_inline)) {
    left.template ask<Rows>(run, start);
    if constexpr (steady) {
      if (run < asked_rows) ask_for_row(run);
    }
    if (next) next->ask();
  };
  if constexpr (Terms::endless) {
    // One load whose address moves far with each term is foreseen from its third term on; four of them are not.
    const bool far = Terms::together && !left.asks() && left.of(0, 1) * static_cast<Index>(sizeof(T)) >= 1024;
    constexpr bool singly = some <= 4;  // terms in eights are not a step apart throughout
    const Index many = singly && (far || (depth < 64 && step > Vectors * lanes)) ? 0 : depth & -some;
    begin(0, 0);
    const T* const end = a[0] + left.of(0, many);
    for (Index run = 0; a[0] != end; ++run) {
      ask(run, run * left.length(run));
      const bool more = left.asks() || (next && next->more()) || (steady && run < asked_rows - 1);
      const Index length = left.of(0, left.length(run));
      const T* const until = more && end - a[0] > length ? a[0] + length : end;
      do { add_terms(some, 0); } while (a[0] != until);
    }
    for (Index p = many; p < depth; ++p) add_terms(one, p);
  } else {
    for (Index run = 0, start = 0; start < depth; ++run) {
      ask(run, start);
      begin(run, start);
      const Index count = whole ? left.length(run) : std::min(left.length(run), depth - start);
      start += count;
      Index p = 0;
      if constexpr (some > 1) {
        for (; p + some <= count; p += some) add_terms(some, p);
      }
      for (; p < count; ++p) add_terms(one, p);
    }
  }
  finish_tile<T, Isa>(sum, into, c, ldc, finish, i, j);
}

}  // namespace tenon::cpu
