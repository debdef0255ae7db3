// A register tile of rows that were copied: all its terms in one piece.
#pragma once

#include <type_traits>

#include "tenon/backend/cpu/gemm_ahead.hpp"
#include "tenon/backend/cpu/multiply_eights.hpp"
#include "tenon/backend/cpu/tile_frame.hpp"
#include "tenon/backend/cpu/tile_rows.hpp"

namespace tenon::cpu {

template <class Left>
concept CopiedInEights = requires {
  Left::in_eights;
};

// Whether there is such a piece.
template <class T, class Isa, int Rows, int Vectors, class Left>
inline constexpr bool tile_in_eights = std::is_same_v<T, float>&& in_one_piece<T, Isa>&& CopiedInEights<Left> &&
                                       ((Rows == 6 && Vectors == 2) || (Rows == 3 && Vectors == 4));

// Whether it serves for so many terms, with rows of B `step` apart and `columns` wide.
template <class Left>
constexpr bool in_eights(Index depth, Index step, Index columns) {
  return depth > 0 && depth % 8 == 0 && (requires { Left::copy; } || step == columns);
}

// multiply_tile for such a one.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish>
[[gnu::always_inline]] inline void multiply_tile_in_eights(Index depth, const Left& left, const T* __restrict b,
                                                           Index step, Store into, T* __restrict c, Index ldc,
                                                           const Finish* finish, Index i, Index j,
                                                           const TileStep& asked, Ahead<T>* next) {
  ask_for_tile<T, Isa, Rows, Vectors>(into, c, ldc, finish, i, j, asked);
  Vec<T, Isa> sum[Rows][Vectors];
  T* copy = nullptr;
  if constexpr (requires { Left::copy; }) copy = left.copy;
  const T* a = left.from(0, 0);
  if (left.asks()) {
    multiply_eights<Left, Asking::rows>(a, depth, b, step, copy, left.lines(), sum);
  } else if (next && next->more()) {
    const Index turns = depth / 8;
    if (next->lines_with_a_run() <= 2)
      multiply_eights<Left, Asking::line>(a, depth, b, step, copy, next->take(turns), sum);
    else
      multiply_eights<Left, Asking::two_lines>(a, depth, b, step, copy, next->take(2 * turns), sum);
  } else {
    multiply_eights<Left, Asking::nothing>(a, depth, b, step, copy, {}, sum);
  }
  finish_tile<T, Isa>(sum, into, c, ldc, finish, i, j);
}

}  // namespace tenon::cpu
