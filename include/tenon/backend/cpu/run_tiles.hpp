// One register tile or several, as compiled for an instruction set, by the loop that suits them.
#pragma once

#include "tenon/backend/cpu/microkernel.hpp"
#include "tenon/backend/cpu/tile_in_eights.hpp"

namespace tenon::cpu {

// Where a tile is: its panel of B, and its place in C.
template <class T>
struct TilePlace {
  const T* b;
  T* c;
  Index i, j;

  void move(const TileStep& by) { b += by.b, c += by.c, i += by.i, j += by.j; }
};

// `count` tiles, one after the other, with the loop inside: by itself, what surrounds a tile takes as long as
// eight of its terms. What changes from tile to tile is the loop's own, or it would be kept in memory.
template <class T, class Isa, int Rows, int Vectors, class Left, class Finish = LeaveAsIs>
[[gnu::noinline]] void run_tiles(Index count, const TileStep& by, Index depth, const Left& first, const T* b,
                                 Index step, Store into, T* c, Index ldc, const Finish* finish, Index i, Index j,
                                 Ahead<T>* next = nullptr) {
  // With few terms a tile is made before memory answers.
  const Index ahead = depth <= 128 ? 2 : 0;
  const TileStep asked{.c = ahead * by.c, .i = ahead * by.i, .j = ahead * by.j};
  if constexpr (tile_in_eights<T, Isa, Rows, Vectors, Left>) {
    if (in_eights<Left>(depth, step, Vectors * lanes_of<T, Isa>)) {
      return CompiledFor<Isa>::run([=] {
        Left left = first;
        TilePlace<T> at{b, c, i, j};
        for (Index rest = count; rest > 0; --rest, at.move(by), left.move(by.a))
          multiply_tile_in_eights<T, Isa, Rows, Vectors>(depth, left, at.b, step, into, at.c, ldc, finish, at.i, at.j,
                                                         asked, next);
      });
    }
  }
  CompiledFor<Isa>::run([=] {
    Left left = first;
    TilePlace<T> at{b, c, i, j};
    for (Index rest = count; rest > 0; --rest, at.move(by)) {
      multiply_tile<T, Isa, Rows, Vectors>(depth, left, at.b, step, into, at.c, ldc, finish, at.i, at.j, asked, next);
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
[[gnu::noinline]] void run_tile(Index depth, const Left& left, const T* b, Index step, Store into, T* c, Index ldc,
                                const Finish* finish = nullptr, Index i = 0, Index j = 0, Ahead<T>* next = nullptr) {
  if constexpr (tile_in_eights<T, Isa, Rows, Vectors, Left>) {
    if (in_eights<Left>(depth, step, Vectors * lanes_of<T, Isa>)) {
      return CompiledFor<Isa>::run([&] {
        multiply_tile_in_eights<T, Isa, Rows, Vectors>(depth, left, b, step, into, c, ldc, finish, i, j, {}, next);
      });
    }
  }
  CompiledFor<Isa>::run(
      [&] { multiply_tile<T, Isa, Rows, Vectors>(depth, left, b, step, into, c, ldc, finish, i, j, {}, next); });
}

}  // namespace tenon::cpu
