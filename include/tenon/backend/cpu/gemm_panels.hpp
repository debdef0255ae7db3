// How a product is cut for the register tile: which tile, how deep and wide a block, and the panels of B in it.
#pragma once

#include <algorithm>
#include <type_traits>

#include "tenon/backend/cpu/isa.hpp"
#include "tenon/backend/cpu/tile_rows.hpp"

namespace tenon::cpu {

// A part of a matrix: `count` rows of A or columns of B from `first`, `depth` terms from `start`.
struct PackRange {
  Index first, count, start, depth;
};

namespace detail {

// Columns of B in a block: with gemm_depth terms 512 KB of floats, half of the second-level cache of today's
// processors, where it stays while strips of A pass by in the first.
inline constexpr Index columns_of_block = 256;

// Terms of a block: k are cut into as few blocks as there may be with `most` terms, all alike, in whole runs. With few
// rows a panel of B is soon done with: half as high, it stays in the first-level cache beside them, and memory has time
// to deliver the next.
inline Index even_depth(Index rows, Index k, Index most = gemm_depth) {
  most = std::min(most, rows <= 96 ? gemm_depth / 2 : gemm_depth);
  const Index terms = std::max<Index>(k, 1), blocks = (terms + most - 1) / most;
  return std::min(most, ((terms + blocks - 1) / blocks + 15) / 16 * 16);
}

template <int Rows, int Vectors>
struct Tile {
  static constexpr int rows = Rows, vectors = Vectors;
};

// B as a tile reads it: packed in panels of `columns` columns and at most gemm_depth terms.
template <class T, class Isa, class Tile>
struct Panels {
  static constexpr Index columns = Tile::vectors * lanes_of<T, Isa>;
  // From one to the next, of `depth` terms: not a multiple of 4 KB, which would send all to one cache set.
  static Index stride(Index depth) { return columns * depth + 16; }

  static Index count(Index width) { return (width + columns - 1) / columns; }
  // Values of all panels of (k,n), in blocks of `depth` terms.
  static Index room(Index n, Index k, Index depth) { return count(n) * ((k + depth - 1) / depth) * stride(depth); }

  // Columns [first, last) and terms [start, start + depth) of b.
  template <class Columns>
  [[gnu::always_inline]] static void pack(const Columns& b, Index first, Index last, Index start, Index depth, T* out,
                                          Index stride) {
    const Index whole = (last - first) / columns;
    if (first + whole * columns < last) std::fill_n(out + whole * stride, columns * depth, T(0));
    b(PackRange{first, last - first, start, depth}, std::integral_constant<Index, columns>(), out, stride);
  }
};

// Calls use(tile) with the register tile for m rows, n columns and k terms. With the registers for a row of B it fills
// the register file, and B is read the less often the more rows there are. Up to one register of columns a taller tile
// wastes none. Rows::most_rows is how tall it may be where each row needs a register for its address; Rows::tile is the
// tile if it is given. Three rows, with registers for their values, take the fewest instructions, as long as a panel
// stays in the first-level cache; of few rows those that a last strip lacks are too many. A matrix that is one panel of
// theirs needs no packing.
template <class T, class Isa, class Rows, class Use>
void with_gemm_tile([[maybe_unused]] Index m, Index n, [[maybe_unused]] Index k, const Use& use) {
  if constexpr (requires { typename Rows::tile; }) {
    use(typename Rows::tile());
  } else if constexpr (Isa::bytes == 64) {
    constexpr Index lanes = lanes_of<T, Isa>;
    if constexpr (requires { Rows::most_rows; }) {
      if (n <= lanes) return use(Tile<Rows::most_rows, 1>());
      if (n <= 2 * lanes) return use(Tile<Rows::most_rows, 2>());
    } else if (n <= lanes) {
      return use(Tile<16, 1>());
    }
    use(Tile<6, 4>());
  } else {
    if constexpr (std::is_same_v<Isa, Avx2> && !requires { Rows::scattered; }) {
      if (m >= 48 && n > 2 * lanes_of<T, Isa> && k <= 256) return use(Tile<3, 4>());
    }
    if constexpr (std::is_same_v<Isa, Avx2> && requires { Rows::most_rows; }) {
      if (n == 4 * lanes_of<T, Isa>) return use(Tile<3, 4>());
    }
    use(Tile<6, 2>());
  }
}

}  // namespace detail

}  // namespace tenon::cpu
