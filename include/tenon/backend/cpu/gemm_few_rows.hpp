// Products with few rows and many columns: C (64,3136) = A (64,576)·B, say. B is read where it lies, a panel at a time,
// which the first strip of A copies for the others; A is copied once, before.
#pragma once

#include "tenon/backend/cpu/gemm_operands.hpp"
#include "tenon/core/geometry.hpp"

namespace tenon::cpu {

// A stored matrix as the left operand, all of it copied as RowsInEights, three rows a strip.
template <class T, class Isa>
class MatrixRowsInEights {
 public:
  static constexpr int tile_rows = 3;
  using tile = detail::Tile<tile_rows, 4>;
  static constexpr bool in_place = true;
  // B's next block is asked for: with A and a part of C, two of them fit into the second-level cache.
  static constexpr Index widest = 64;

  // a (m,k), row-major.
  MatrixRowsInEights(const T* a, Index m, Index k)
      : apart_(tile_rows * ((k + 7) / 8 * 8) + 16), strips_((m + tile_rows - 1) / tile_rows * apart_) {
    CompiledFor<Isa>::run([&] {
      for (Index i = 0; i < m; ++i)
        Strip::template copy_row<Isa>(a + i * k, k, i % tile_rows, strips_.data() + i / tile_rows * apart_);
    });
  }

  struct Reader {
    const T* data;
    Index between;

    template <int Rows>
    static constexpr bool lies() {
      return true;
    }
    Index apart(Index) const { return between; }
    template <int Rows>
    RowsInEights<T, tile_rows> strip(Index first, Index, bool, T*) const {
      return {data + first / tile_rows * between};
    }
  };
  Reader reader(Index start, Index) const { return {strips_.data() + start * tile_rows, apart_}; }

 private:
  using Strip = RowsInEights<T, tile_rows>;

  Index apart_;  // values from one strip to the next
  Scratch<T> strips_;
};

// Whether there is a tile for it.
template <class T, class Isa>
inline constexpr bool gemm_few_rows_exists = tile_in_eights<T, Isa, 3, 4, RowsInEights<T, 3>>;

// Whether it serves: for rows few enough to stay in the second-level cache, and B as the tile reads it.
constexpr bool gemm_few_rows_fits(const GemmGeometry& g) {
  return !g.transpose_a && !g.transpose_b && g.alpha == 1 && g.m >= 24 && g.m <= 256 && g.n >= 512 && g.n % 8 == 0 &&
         g.k % 16 == 0;
}

template <class T, class Isa>
void gemm_few_rows(const GemmGeometry& g, const T* a, const T* b, T* c) {
  gemm_blocked<T, Isa>({g.m, g.n, g.k, g.alpha, g.beta}, MatrixRowsInEights<T, Isa>(a, g.m, g.k),
                       MatrixColumns<T, Isa>{b, g.n, false}, c, g.n);
}

}  // namespace tenon::cpu
