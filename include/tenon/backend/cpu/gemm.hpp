// Matrix multiplication after Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication":
// a block of B is copied (packed) into the order in which the register tile reads it, small enough for the
// second-level cache; strips of A, a few rows each, pass by it in the first. Either is read where it lies if
// that serves.
//
// The operands come through small types, so the same loops serve matrices, transposes and the patches of a
// convolution. Every element of C is summed in the same order whatever the threads or the blocking of
// rows and columns: results do not depend on the thread count.
#pragma once

#include <cstring>

#include "tenon/backend/cpu/gemm_dots.hpp"
#include "tenon/backend/cpu/microkernel.hpp"
#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/backend/cpu/transpose.hpp"
#include "tenon/core/geometry.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

// The plain triple loop: what the packed version must agree with, and faster for very small matrices.
template <class T>
void gemm_reference(const GemmGeometry& g, const T* a, const T* b, T* c) {
  const T alpha = static_cast<T>(g.alpha), beta = static_cast<T>(g.beta);
  const Index row_a = g.transpose_a ? 1 : g.k, col_a = g.transpose_a ? g.m : 1;
  const Index row_b = g.transpose_b ? 1 : g.n, col_b = g.transpose_b ? g.k : 1;
  for (Index i = 0; i < g.m; ++i) {
    for (Index j = 0; j < g.n; ++j) {
      T sum = 0;
      for (Index p = 0; p < g.k; ++p) sum += a[i * row_a + p * col_a] * b[p * row_b + j * col_b];
      T& out = c[i * g.n + j];
      out = beta == T(0) ? alpha * sum : alpha * sum + beta * out;
    }
  }
}

// A part of a matrix: `count` rows of A or columns of B from `first`, `depth` terms from `start`.
struct PackRange {
  Index first, count, start, depth;
};

struct GemmBlocks {
  Index m, n, k;
  double alpha = 1, beta = 0;
};

namespace detail {

// Columns of B in a block: with gemm_depth terms 512 KB of floats, which the second-level cache keeps while
// strips of A pass by in the first.
inline constexpr Index columns_of_block = 256;

template <int Rows, int Vectors>
struct Tile {
  static constexpr int rows = Rows, vectors = Vectors;
};

// B as a tile reads it: packed in panels of `columns` columns and at most gemm_depth terms.
template <class T, class Isa, class Tile>
struct Panels {
  static constexpr Index columns = Tile::vectors * lanes_of<T, Isa>;
  // From one to the next, of k terms: not a multiple of 4 KB, which would send all to one cache set.
  static Index stride(Index k) { return columns * std::min(k, gemm_depth) + 16; }

  static Index count(Index width) { return (width + columns - 1) / columns; }

  // Columns [first, last) and terms [start, start + depth) of b.
  template <class Columns>
  [[gnu::always_inline]] static void pack(const Columns& b, Index first, Index last, Index start, Index depth,
                                          T* out, Index stride) {
    const Index whole = (last - first) / columns;
    if (first + whole * columns < last) std::fill_n(out + whole * stride, columns * depth, T(0));
    b(PackRange{first, last - first, start, depth}, std::integral_constant<Index, columns>(), out, stride);
  }
};

// Calls use(tile) with the register tile for n columns. With the registers for a row of B it fills the register
// file, and B is read the less often the more rows there are. Up to one register of columns a taller tile
// wastes none. Rows::most_rows is how tall it may be where each row needs a register for its address.
template <class T, class Isa, class Rows, class Use>
void with_gemm_tile(Index n, const Use& use) {
  if constexpr (Isa::bytes == 64) {
    constexpr Index lanes = lanes_of<T, Isa>;
    if constexpr (requires { Rows::most_rows; }) {
      if (n <= lanes) return use(Tile<Rows::most_rows, 1>());
      if (n <= 2 * lanes) return use(Tile<Rows::most_rows, 2>());
    } else if (n <= lanes) {
      return use(Tile<16, 1>());
    }
    use(Tile<6, 4>());
  } else {
    use(Tile<6, 2>());
  }
}

template <class T, class Isa, class Tile, class Rows, class Columns, class Finish>
struct BlockedProduct {
  using Packed = Panels<T, Isa, Tile>;
  static constexpr int rows = Tile::rows, vectors = Tile::vectors;
  static constexpr Index lanes = lanes_of<T, Isa>, columns = Packed::columns;
  // The most terms and columns of a block. Where every term is in a cache line of its own, a strip of A would fill
  // the first-level cache.
  static constexpr Index deepest = requires { Rows::scattered; } ? gemm_depth / 2 : gemm_depth;
  static constexpr Index widest = columns_of_block * gemm_depth / deepest;

  const GemmBlocks& g;
  const Rows& a;
  const Columns& b;
  T* c;
  Index ldc;
  const Finish& finish;

  void operator()() const {
    // Few rows and many columns: a thread takes whole stripes. Otherwise the threads share one after the
    // other.
    const Index threads = thread_count();
    if (threads > 1 && g.m < 256 * threads && g.n >= 4 * threads * columns && g.m * g.n * g.k > 1000000) {
      const Index wanted = std::min(widest, g.n / (4 * threads));
      const Index width = std::max<Index>(1, wanted / columns) * columns;
      parallel_for((g.n + width - 1) / width,
                   [&](Index s) { stripe(s * width, std::min(width, g.n - s * width)); });
    } else {
      for (Index j0 = 0; j0 < g.n; j0 += widest) stripe(j0, std::min(widest, g.n - j0));
    }
  }

 private:
  // Columns [j0, j0 + width) of C, which are few enough for a block.
  void stripe(Index j0, Index width) const {
    const Index panels = Packed::count(width), stride = Packed::stride(g.k);
    const bool stored = columns_lie(), ready = columns_ready(), pack = !stored && !ready;
    Scratch<T> packed(pack ? panels * stride : 0);
    for (Index p0 = 0; p0 < std::max<Index>(g.k, 1); p0 += deepest) {
      const Index depth = std::min(deepest, g.k - p0);
      const Index some = std::max<Index>(1, 65536 / (depth * columns + 1));
      parallel_ranges(pack ? panels : 0, some, [&](Index begin, Index end) {
        const Index first = j0 + begin * columns, last = std::min(j0 + end * columns, j0 + width);
        CompiledFor<Isa>::run([&] {
          T* out = packed.data() + begin * stride;
          Packed::pack(b, first, last, p0, depth, out, stride);
          for (Index i = begin; i < end && g.alpha != 1; ++i, out += stride) {
            for (Index q = 0; q < columns * depth; ++q) out[q] *= static_cast<T>(g.alpha);
          }
        });
      });
      const T* block = stored ? nullptr : packed.data();
      if constexpr (requires { b.panels; }) {
        if (ready) block = b.panels + (p0 / deepest * Packed::count(g.n) + j0 / columns) * stride;
      }
      const Index strips = (g.m + rows - 1) / rows, work = rows * width * depth;
      const Index grain = g.m * width * depth < 200000
                              ? strips
                              : std::max<Index>(400000 / (work + 1) + 1, strips / (32 * thread_count()));
      parallel_ranges(strips, grain, [&](Index begin, Index end) {
        CompiledFor<Isa>::run(
            [&] { multiply(begin, end, j0, width, p0, depth, block); });
      });
    }
  }

  // Whether B has been packed before.
  bool columns_ready() const {
    if constexpr (requires { b.panels; }) return b.panels && g.alpha == 1;
    return false;
  }

  // Whether B is read where it lies: as if packed, or where few rows would not repay the copy.
  bool columns_lie() const {
    if constexpr (requires { b.row(0); }) {
      if (columns_ready() || !b.row(0) || g.alpha != 1 || g.n % lanes != 0) return false;
      return (g.n <= columns && b.stride == g.n) || g.m <= 400;
    }
    return false;
  }

  // Strips [begin, end) of C, of `rows` rows each, times all panels, which are packed or (null) lie in B.
  [[gnu::always_inline]] void multiply(Index begin, Index end, Index j0, Index width, Index p0, Index depth,
                                       const T* packed) const {
    const bool first = p0 == 0, last = p0 + depth >= g.k, add = !first || g.beta != 0;
    const auto reader = a.reader(p0, depth);
    alignas(64) T room[rows * gemm_depth];
    for (Index strip = begin; strip < end; ++strip) {
      const Index i0 = strip * rows, count = std::min<Index>(rows, g.m - i0);
      auto left = reader.template strip<rows>(i0, count, i0 + 2 * rows <= g.m, room);
      for (Index j = 0; j < width; j += columns) {
        T* out = c + i0 * ldc + j0 + j;
        const Index wide = std::min(columns, width - j);
        if (first && g.beta != 0 && g.beta != 1) scale(count, wide, out);
        const T* panel = nullptr;
        Index step = columns;
        if (packed) {
          panel = packed + j / columns * Packed::stride(g.k);
        } else if constexpr (requires { b.row(0); }) {
          panel = b.row(p0) + j0 + j;
          step = b.stride;
        }
        const Index filled = (wide + lanes - 1) / lanes;
        if (count == rows && filled * lanes == wide) {
          tile<vectors>(filled, depth, left, panel, step, add, out, ldc, last ? &finish : nullptr, i0,
                        j0 + j);
        } else {
          alignas(64) T part[rows * columns];
          tile<vectors>(filled, depth, left, panel, step, false, part, columns, nullptr, 0, 0);
          for (Index r = 0; r < count; ++r) {
            T* to = out + r * ldc;
            for (Index q = 0; q < wide; ++q)
              to[q] = add ? to[q] + part[r * columns + q] : part[r * columns + q];
          }
          if (last) {
            for (Index r = 0; r < count; ++r) finish(i0 + r, j0 + j, wide, out + r * ldc);
          }
        }
        left.asked();
      }
    }
  }

  [[gnu::always_inline]] void scale(Index count, Index width, T* out) const {
    for (Index r = 0; r < count; ++r) {
      for (Index q = 0; q < width; ++q) out[r * ldc + q] *= static_cast<T>(g.beta);
    }
  }

  // The tile with `wanted` ≤ Most registers of columns.
  template <int Most, class Left>
  static void tile(Index wanted, Index depth, const Left& left, const T* panel, Index step, bool add, T* out,
                   Index out_stride, const Finish* end, Index i, Index j) {
    if constexpr (Most > 1) {
      if (wanted < Most)
        return tile<Most - 1>(wanted, depth, left, panel, step, add, out, out_stride, end, i, j);
    }
    run_tile<T, Isa, rows, Most>(depth, left, panel, step, add, out, out_stride, end, i, j);
  }
};

}  // namespace detail

// c (m,n) = alpha·A·B + beta·c with row stride ldc, then finish, an Epilogue, for each tile or piece of a
// row.
//
// A is read by a.reader(start, depth), whose strip<rows>(first, count, more, room) are `count` rows from
// `first` as the tile reads them: in place, or copied to `room` with zeros for the rows that lack. `more`
// says that as many again come after them. Where there is Rows::scattered, each term of a strip lies in a cache
// line of its own.
//
// b(range, tile, out, stride) packs panels of `tile` columns, a std::integral_constant, `stride` apart, as
// out[p·tile + j]; what a last panel lacks is zero before. Where there are b.row(p) and b.stride, B may be
// read in place: row p lies at b.row(p), if that is not null. Where there is b.panels and it is not null, it
// is all of B, packed before.
template <class T, class Isa, class Rows, class Columns, class Finish = LeaveAsIs>
void gemm_blocked(const GemmBlocks& g, const Rows& a, const Columns& b, T* c, Index ldc,
                  const Finish& finish = {}) {
  detail::with_gemm_tile<T, Isa, Rows>(g.n, [&]<class Tile>(Tile) {
    detail::BlockedProduct<T, Isa, Tile, Rows, Columns, Finish>{g, a, b, c, ldc, finish}();
  });
}

// Copies `count` values, a known number where all of a tile is there.
template <class T, class Tile>
[[gnu::always_inline]] inline void copy_tile(const T* in, Index count, Tile, T* out) {
  if (count == Tile::value) {
    std::memcpy(out, in, Tile::value * sizeof(T));
  } else {
    for (Index i = 0; i < count; ++i) out[i] = in[i];
  }
}

// A stored matrix as the left operand: element (i, p) is at data[i·stride + p]. It is read where it lies.
template <class T>
struct MatrixRows {
  const T* data;
  Index stride;

  struct Reader {
    const T* data;
    Index stride, depth;

    template <int Rows>
    RowsApart<T> strip(Index first, Index count, bool more, T* room) const {
      const T* in = data + first * stride;
      // Rows a multiple of 4 KB apart share a set of the first-level cache, which has a dozen places.
      const bool crowded = Rows > 12 && stride * static_cast<Index>(sizeof(T)) % 4096 == 0;
      if (count == Rows && !crowded) return {in, stride, more ? in + Rows * stride : nullptr};
      for (Index i = 0; i < count; ++i) std::copy_n(in + i * stride, depth, room + i * gemm_depth);
      for (Index i = count; i < Rows; ++i) std::fill_n(room + i * gemm_depth, depth, T(0));
      return {room, gemm_depth};
    }
  };
  Reader reader(Index start, Index depth) const { return {data + start, stride, depth}; }
};

// The same where the matrix is stored transposed: element (i, p) is at data[p·stride + i].
template <class T>
struct TransposedRows {
  const T* data;
  Index stride;

  static constexpr bool scattered = true;

  struct Reader {
    const T* data;
    Index stride, depth;

    template <int Rows>
    RowsTogether<T> strip(Index first, Index count, bool, T* room) const {
      const T* in = data + first;
      if (count == Rows) return {in, stride, true};
      for (Index p = 0; p < depth; ++p) {
        for (Index i = 0; i < Rows; ++i) room[p * Rows + i] = i < count ? in[p * stride + i] : T(0);
      }
      return {room, Rows};
    }
  };
  Reader reader(Index start, Index depth) const { return {data + start * stride, stride, depth}; }
};

// Of B, element (p, j) is at data[p·stride + j], or at data[j·stride + p] where it is stored transposed.
template <class T, class Isa>
struct MatrixColumns {
  const T* data;
  Index stride;
  bool transposed;
  const T* panels = nullptr;  // of a PackedColumns

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
        copy_tile(in + j, std::min<Index>(columns, r.count - j), columns,
                  out + j / columns * panel + p * columns);
      }
    }
  }
};

// All columns of a matrix packed once, for many products: what MatrixColumns::panels points to.
template <class T, class Isa>
class PackedColumns {
 public:
  // b (k,n)
  PackedColumns(const MatrixColumns<T, Isa>& b, Index n, Index k) : panels_(room(n, k)) {
    detail::with_gemm_tile<T, Isa, MatrixRows<T>>(n, [&](auto tile) {
      using Packed = detail::Panels<T, Isa, decltype(tile)>;
      const Index across = Packed::count(n), stride = Packed::stride(k);
      parallel_for(across * ((k + gemm_depth - 1) / gemm_depth), [&](Index i) {
        const Index first = i % across * Packed::columns, start = i / across * gemm_depth;
        CompiledFor<Isa>::run([&] {
          Packed::pack(b, first, std::min(n, first + Packed::columns), start,
                       std::min(gemm_depth, k - start), panels_.data() + i * stride, stride);
        });
      });
    });
  }
  const T* data() const { return panels_.data(); }

 private:
  static Index room(Index n, Index k) {
    Index values = 0;
    detail::with_gemm_tile<T, Isa, MatrixRows<T>>(n, [&](auto tile) {
      using Packed = detail::Panels<T, Isa, decltype(tile)>;
      values = Packed::count(n) * ((k + gemm_depth - 1) / gemm_depth) * Packed::stride(k);
    });
    return values;
  }

  Scratch<T> panels_;
};

// One product on a given instruction set.
template <class T, class Isa>
void gemm_on(const GemmGeometry& g, const T* a, const T* b, T* c) {
  if (gemm_dots_fits(g)) return gemm_dots<T, Isa>(g, a, b, c);
  const GemmBlocks blocks{g.m, g.n, g.k, g.alpha, g.beta};
  const MatrixColumns<T, Isa> columns{b, g.transpose_b ? g.k : g.n, g.transpose_b};
  if (g.transpose_a) {
    gemm_blocked<T, Isa>(blocks, TransposedRows<T>{a, g.m}, columns, c, g.n);
  } else {
    gemm_blocked<T, Isa>(blocks, MatrixRows<T>{a, g.k}, columns, c, g.n);
  }
}

// One product, or a batch of them.
template <class T>
void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) {
  if (g.batch > 1) {
    GemmGeometry single = g;
    single.batch = 1;
    const auto one = [&](Index i) {
      gemm(single, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c);
    };
    if (g.m * g.n * g.k < 1000000) return parallel_for(g.batch, one);
    for (Index i = 0; i < g.batch; ++i) one(i);
    return;
  }
  if (g.m * g.n * g.k <= 512) return gemm_reference(g, a, b, c);
  with_best_isa([&](auto isa) { gemm_on<T, decltype(isa)>(g, a, b, c); });
}

}  // namespace tenon::cpu
