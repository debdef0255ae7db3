// What surrounds the loop over a register tile's terms: what is asked for before, and where the sums go.
#pragma once

#include <type_traits>

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// What happens to a finished tile or to finished parts of rows: nothing.
struct LeaveAsIs {
  template <class T>
  void operator()(Index, Index, Index, T*) const {}
};

// How C takes a tile: in its place, added to what is there, or in its place past the caches, in whole lines.
enum class Store { plain, add, stream };

// From one tile to the next: values of A, B and C, and rows and columns of C.
struct TileStep {
  Index a = 0, b = 0, c = 0, i = 0, j = 0;
};

// Asks for the residual of a tile at (i, j) of C.
template <int Rows, int Width, class Finish>
[[gnu::always_inline]] inline void ask_for_residual([[maybe_unused]] const Finish* finish, [[maybe_unused]] Index i,
                                                    [[maybe_unused]] Index j) {
  if constexpr (requires { finish->residual; }) {
    if (!finish || !finish->residual) return;
    constexpr int line = values_of_line<std::remove_cvref_t<decltype(*finish->residual)>>;
    const auto* more = finish->residual + i * finish->row + j;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int q = 0; q < Width; q += line) __builtin_prefetch(more + r * finish->row + q);
    }
  }
}

// Asks for the tile `asked` further on, of C if it is read or written there, and of the residual.
template <class T, class Isa, int Rows, int Vectors, class Finish>
[[gnu::always_inline]] inline void ask_for_tile(Store into, const T* c, Index ldc, const Finish* finish, Index i,
                                                Index j, const TileStep& asked) {
  constexpr int lanes = lanes_of<T, Isa>, line = values_of_line<T>;
  if (into != Store::stream) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int q = 0; q < Vectors * lanes; q += line) __builtin_prefetch(c + asked.c + r * ldc + q, 1);
    }
  }
  ask_for_residual<Rows, Vectors * lanes>(finish, i + asked.i, j + asked.j);
}

// A tile's sums, to C at c as `into` says; with `finish`, the tile at (i, j) of C is finished before.
template <class T, class Isa, int Rows, int Vectors, class Finish>
[[gnu::always_inline]] inline void finish_tile(Vec<T, Isa> (&sum)[Rows][Vectors], Store into, T* __restrict c,
                                               Index ldc, const Finish* finish, Index i, Index j) {
  using V = Vec<T, Isa>;
  constexpr int lanes = lanes_of<T, Isa>;
  if (into == Store::add) {
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
  if constexpr (!std::is_same_v<Finish, LeaveAsIs>) {
    if (finish) finish->template on_tile<Isa>(i, j, sum);
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r, c += ldc) {
    asm("" : "+r"(c));  // or the compiler works out all the addresses beforehand and runs out of registers
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      if (into == Store::stream) {
        store_past<T, Isa>(sum[r][v], c + v * lanes);
      } else {
        store<T, Isa>(sum[r][v], c + v * lanes);
      }
    }
  }
}

}  // namespace tenon::cpu
