// Matrices as the operands of a product: how gemm_blocked reads or packs them, stored either way round.
#pragma once

#include <cstring>

#include "tenon/backend/cpu/gemm_blocked.hpp"
#include "tenon/backend/cpu/transpose.hpp"

namespace tenon::cpu {

// Copies `count` values, a known number where all of a tile is there.
template <class T, class Tile>
[[gnu::always_inline]] inline void copy_tile(const T* in, Index count, Tile, T* out) {
  if (count == Tile::value) {
    std::memcpy(out, in, Tile::value * sizeof(T));
  } else {
    for (Index i = 0; i < count; ++i) out[i] = in[i];
  }
}

// A stored matrix as the left operand: element (i, p) is at data[i·stride + p]. It is read where it lies, or copied
// first where there is a tile for it.
template <class T, class Isa>
struct MatrixRows {
  const T* data;
  Index stride;

  static constexpr bool in_place = true, copies = std::is_same_v<T, float> && in_one_piece<T, Isa>;
  static Index fewest_columns() { return 128; }  // of B, that repay the copy

  struct Reader {
    const T* data;
    Index stride, depth;

    // Rows a multiple of 4 KB apart share a set of the first-level cache, which has a dozen places.
    template <int Rows>
    bool lies() const {
      return Rows <= 12 || stride * static_cast<Index>(sizeof(T)) % 4096 != 0;
    }
    Index apart(Index rows) const { return rows * stride; }
    template <int Rows>
    RowsApart<T> strip(Index first, Index count, bool more, T* room) const {
      const T* in = data + first * stride;
      if (count == Rows && lies<Rows>()) return {in, stride, more ? in + Rows * stride : nullptr};
      for (Index i = 0; i < count; ++i) std::copy_n(in + i * stride, depth, room + i * gemm_depth);
      for (Index i = count; i < Rows; ++i) std::fill_n(room + i * gemm_depth, depth, T(0));
      return {room, gemm_depth};
    }

    // `count` rows from `first`, copied to `out`, as a strip of `Rows` rows; those that lack may be anything.
    template <int Rows>
    [[gnu::always_inline]] void copy(Index first, Index count, T* out) const {
      for (Index i = 0; i < count; ++i)
        RowsInEights<T, Rows>::template copy_row<Isa>(data + (first + i) * stride, depth, i, out);
    }
    RowsToCome<T> rows_at(Index first) const { return {data + first * stride, stride}; }
  };
  Reader reader(Index start, Index depth) const { return {data + start, stride, depth}; }
};

// The same where the matrix is stored transposed: element (i, p) is at data[p·stride + i]. Strips are read where they
// lie, the next terms asked for, or copied first: with narrow registers a strip meets many panels of B, and for each of
// them it would come from the second-level cache again, a line for every term.
template <class T, class Isa>
struct TransposedRows {
  const T* data;
  Index stride;

  static constexpr bool scattered = true;
  static constexpr bool copies = Isa::bytes < 64, in_place = true;
  static Index fewest_columns() { return in_one_piece<T, Isa> ? 64 : 128; }

  struct Reader {
    const T* data;
    Index stride, depth;

    template <int Rows>
    static constexpr bool lies() {
      return true;
    }
    static Index apart(Index rows) { return rows; }
    template <int Rows>
    [[gnu::always_inline]] RowsTogether<T> strip(Index first, Index count, bool, T* room) const {
      if (count == Rows) return {data + first, stride, !copies};
      copy<Rows>(first, count, room, 0);
      return {room, Rows};
    }

    // `count` rows from `first` to strips of `Rows` rows, `apart` values from one to the next. All rows of some terms
    // at a time: terms lie in pages of their own, and lines of the copy are written one after the other. Rows that a
    // last strip lacks may be anything.
    template <int Rows>
    [[gnu::always_inline]] void copy(Index first, Index count, T* room, Index apart) const {
      constexpr int lanes = lanes_of<T, Isa>;
      constexpr Index terms = 4, over = (Rows + lanes - 1) / lanes * lanes - Rows;
      // Whole registers reach over the rows or the terms after a strip's, which are written later; the last terms
      // are copied as they are.
      const Index strips = (count + Rows - 1) / Rows, beyond = strips * Rows - count + over;
      const Index exact = std::min<Index>(depth, std::max<Index>(over / Rows, beyond / stride) + 1);
      const T* in = data + first;
      Index p = 0;
      for (; p + terms <= depth - exact; p += terms, in += terms * stride, room += terms * Rows) {
        for (Index t = terms; t < 2 * terms; ++t) {
          for (Index q = 0; q < count; q += values_of_line<T>) __builtin_prefetch(in + t * stride + q);
        }
        for (Index s = 0; s < strips; ++s) {
#pragma GCC unroll 4
          for (Index t = 0; t < terms; ++t) {
            for (int i = 0; i < Rows; i += lanes) {
              Vec<T, Isa> v;
              load<T, Isa>(in + t * stride + s * Rows + i, v);
              store<T, Isa>(v, room + s * apart + t * Rows + i);
            }
          }
        }
      }
      for (; p < depth; ++p, in += stride, room += Rows) {
        for (Index s = 0; s < strips; ++s)
          copy_some<Rows>(in + s * Rows, std::min<Index>(Rows, count - s * Rows), room + s * apart);
      }
    }
    template <int Rows>
    static RowsCopied<T, Rows> copied(const T* strip) {
      return {strip};
    }

   private:
    // Of a term as many rows as there are, and zeros.
    template <int Rows>
    [[gnu::always_inline]] static void copy_some(const T* in, Index count, T* out) {
      for (Index i = 0; i < Rows; ++i) out[i] = i < count ? in[i] : T(0);
    }
  };
  Reader reader(Index start, Index depth) const { return {data + start * stride, stride, depth}; }
};

template <class T, class Isa>
class PackedColumns;

// Of B, element (p, j) is at data[p·stride + j], or at data[j·stride + p] where it is stored transposed.
template <class T, class Isa>
struct MatrixColumns {
  const T* data;
  Index stride;
  bool transposed;
  const PackedColumns<T, Isa>* packed = nullptr;  // of these columns
  Index after = 0;                                // rows that come after these and are read next

  const T* row(Index p) const { return transposed ? nullptr : data + p * stride; }

  template <class Tile>
  void operator()(const PackRange& r, Tile columns, T* out, Index panel) const {
    if (transposed) {
      for (Index j = 0; j < r.count; j += columns) {
        transpose_block<T, Isa>(data + (r.first + j) * stride + r.start, stride,
                                std::min<Index>(columns, r.count - j), r.depth, out + j / columns * panel,
                                columns);
      }
      return;
    }
    for (Index p = 0; p < r.depth; ++p) {
      const T* in = data + (r.start + p) * stride + r.first;
      for (Index j = 0; j < r.count; j += columns) {
        __builtin_prefetch(in + 8 * stride + j);
        copy_tile(in + j, std::min<Index>(columns, r.count - j), columns,
                  out + j / columns * panel + p * columns);
      }
    }
  }
};

// All columns of a matrix packed once, for many products.
template <class T, class Isa>
class PackedColumns {
 public:
  // What products with m rows of A have in common: the columns of a panel and the terms of a block.
  static std::pair<Index, Index> form(Index m, Index n, Index k) {
    Index columns = 0;
    detail::with_gemm_tile<T, Isa, MatrixRows<T, Isa>>(
        m, n, k, [&]<class Tile>(Tile) { columns = detail::Panels<T, Isa, Tile>::columns; });
    return {columns, detail::even_depth(m, k)};
  }

  // b (k,n), for products with m rows of A.
  PackedColumns(const MatrixColumns<T, Isa>& b, Index m, Index n, Index k)
      : depth_(form(m, n, k).second), panels_(room(m, n, k, depth_)) {
    detail::with_gemm_tile<T, Isa, MatrixRows<T, Isa>>(m, n, k, [&]<class Tile>(Tile) {
      using Packed = detail::Panels<T, Isa, Tile>;
      across_ = Packed::count(n);
      stride_ = Packed::stride(depth_);
      parallel_for(across_ * ((k + depth_ - 1) / depth_), [&](Index i) {
        const Index first = i % across_ * Packed::columns, start = i / across_ * depth_;
        CompiledFor<Isa>::run([&] {
          Packed::pack(b, first, std::min(n, first + Packed::columns), start,
                       std::min(depth_, k - start), panels_.data() + i * stride_, stride_);
        });
      });
    });
  }

  // The panels from number `panel` on, of the terms from `start`, where a block begins.
  const T* block(Index start, Index panel) const {
    return panels_.data() + (start / depth_ * across_ + panel) * stride_;
  }

 private:
  static Index room(Index m, Index n, Index k, Index depth) {
    Index values = 0;
    detail::with_gemm_tile<T, Isa, MatrixRows<T, Isa>>(
        m, n, k, [&]<class Tile>(Tile) { values = detail::Panels<T, Isa, Tile>::room(n, k, depth); });
    return values;
  }

  Index depth_;
  Scratch<T> panels_;
  Index across_ = 0, stride_ = 0;  // panels side by side, and values from one to the next
};

}  // namespace tenon::cpu
