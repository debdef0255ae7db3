// Matrix multiplication after Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication":
// cut the operands into blocks that fit a cache level, copy (pack) each block into the order in which the
// register tile reads it, and run the tile over the packed blocks.
//
// The operands come through packing functions, so the same loops serve matrices, transposes and the patches
// of a convolution. Every element of C is summed in the same order whatever the threads or the blocking of
// rows and columns: results do not depend on the thread count.
#pragma once

#include <cstring>

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

// A part of a matrix to pack: `count` rows of A or columns of B from `first`, `depth` terms from `start`.
struct PackRange {
  Index first, count, start, depth;
};

struct GemmBlocks {
  Index m, n, k;
  double alpha = 1, beta = 0;
};

// What happens to a finished row of a tile, c[i, j … j+count), while it is in the first-level cache: nothing.
struct LeaveAsIs {
  template <class T>
  void operator()(Index, Index, Index, T*) const {}
};

namespace detail {

// Blocks of A and B, in tiles: A's (128 × 256) stays in the second-level cache, B's streams through the
// first.
inline constexpr Index rows_of_block = 128, columns_of_block = 512;

// From one packed panel of B to the next: not a multiple of 4 KB, which would send all to one cache set.
constexpr Index panel_stride(Index columns) { return columns * gemm_depth + 16; }

// Brings what will be packed soon nearer, while the register tiles keep the processor busy.
template <class Packer>
[[gnu::always_inline]] inline void ask_for(const Packer& packer, const PackRange& r) {
  if constexpr (requires { packer.ask_for(r); }) packer.ask_for(r);
}

// One block of C: rows [i0, i0 + height), panels [first_panel, last_panel) of the packed columns from j0.
template <class T, class Isa, int Rows, int Vectors, class PackA, class Finish>
struct BlockProduct {
  static constexpr Index columns = Vectors * lanes_of<T, Isa>;
  const GemmBlocks& g;
  const PackA& pack_a;
  const Finish& finish;
  T* c;
  Index ldc, j0, p0, depth;
  const T* packed_b;

  Index padded_depth() const { return (depth + PackA::chunk - 1) / PackA::chunk * PackA::chunk; }
  Index room(Index height) const { return (height + Rows - 1) / Rows * Rows * padded_depth(); }

  [[gnu::always_inline]] void operator()(Index i0, Index height, Index first_panel, Index last_panel,
                                         T* packed) const {
    const Index panel_a = Rows * padded_depth();
    if (height % Rows) std::fill_n(packed + height / Rows * panel_a, panel_a, T(0));
    pack_a(PackRange{i0, height, p0, depth}, std::integral_constant<Index, Rows>(), packed, panel_a);
    if (g.alpha != 1) {
      for (Index q = 0; q < room(height); ++q) packed[q] *= static_cast<T>(g.alpha);
    }
    const bool first = p0 == 0, last = p0 + depth >= g.k;
    const bool add = !first || g.beta != 0;
    const T beta = static_cast<T>(g.beta);
    const Index next = i0 + thread_count() * rows_of_block;  // what this thread is likely to pack next
    for (Index panel = first_panel; panel < last_panel; ++panel) {
      const Index j = j0 + panel * columns, width = std::min(columns, g.n - j);
      const T* b = packed_b + panel * panel_stride(columns);
      for (Index i = 0; i < height; i += Rows) {
        const Index count = std::min<Index>(Rows, height - i);
        if (panel == first_panel && next + i < g.m) {
          ask_for(pack_a, PackRange{next + i, std::min<Index>(Rows, g.m - next - i), p0, depth});
        }
        T* out = c + (i0 + i) * ldc + j;
        if (first && g.beta != 0 && g.beta != 1) {
          for (Index r = 0; r < count; ++r) {
            for (Index q = 0; q < width; ++q) out[r * ldc + q] *= beta;
          }
        }
        const T* a = packed + i / Rows * panel_a;
        if (count == Rows && width == columns) {
          multiply_tile<T, Isa, Rows, Vectors, PackA::chunk>(depth, a, b, add, out, ldc);
        } else {
          alignas(64) T tile[Rows * columns];
          multiply_tile<T, Isa, Rows, Vectors, PackA::chunk>(depth, a, b, false, tile, columns);
          for (Index r = 0; r < count; ++r) {
            T* to = out + r * ldc;
            for (Index q = 0; q < width; ++q)
              to[q] = add ? to[q] + tile[r * columns + q] : tile[r * columns + q];
          }
        }
        if (last) {
          for (Index r = 0; r < count; ++r) finish(i0 + i + r, j, width, out + r * ldc);
        }
      }
    }
  }
};

template <class T, class Isa, int Rows, int Vectors, class PackA, class PackB, class Finish>
void gemm_blocked(const GemmBlocks& g, const PackA& pack_a, const PackB& pack_b, T* c, Index ldc,
                  const Finish& finish) {
  constexpr Index columns = Vectors * lanes_of<T, Isa>;
  const Index row_blocks = (g.m + rows_of_block - 1) / rows_of_block;

  // The columns [j0, j0 + width) of C, all depths.
  const auto stripe = [&](Index j0, Index width) {
    const Index panels = (width + columns - 1) / columns;
    Scratch<T> packed_b(panels * panel_stride(columns));
    for (Index p0 = 0; p0 < std::max<Index>(g.k, 1); p0 += gemm_depth) {
      const Index depth = std::min(gemm_depth, g.k - p0);
      parallel_ranges(panels, std::max<Index>(1, 65536 / (depth * columns + 1)), [&](Index begin, Index end) {
        CompiledFor<Isa>::run([&] {
          const Index first = j0 + begin * columns, count = std::min(j0 + end * columns, g.n) - first;
          T* out = packed_b.data() + begin * panel_stride(columns);
          if (count % columns)
            std::fill_n(out + count / columns * panel_stride(columns), columns * depth, T(0));
          pack_b(PackRange{first, count, p0, depth}, std::integral_constant<Index, columns>(), out,
                 panel_stride(columns));
        });
      });
      // Tasks: blocks of rows; where those are too few for the threads, the columns are cut as well.
      const BlockProduct<T, Isa, Rows, Vectors, PackA, Finish> product{g,  pack_a, finish,         c, ldc, j0,
                                                                       p0, depth,  packed_b.data()};
      const bool small = g.m * width * depth < 200000;
      const Index cuts =
          small ? 1 : std::clamp<Index>(2 * thread_count() / std::max<Index>(1, row_blocks), 1, panels);
      const auto task = [&](Index job) {
        const Index i0 = job / cuts * rows_of_block, height = std::min(rows_of_block, g.m - i0),
                    cut = job % cuts;
        Scratch<T> packed_a(product.room(height));
        CompiledFor<Isa>::run(
            [&] { product(i0, height, cut * panels / cuts, (cut + 1) * panels / cuts, packed_a.data()); });
      };
      if (small) {
        for (Index job = 0; job < row_blocks; ++job) task(job);
      } else {
        parallel_for(row_blocks * cuts, task);
      }
    }
  };

  // Few rows and many columns: a thread takes whole stripes. Otherwise the threads share one after the other.
  const Index threads = thread_count();
  if (threads > 1 && row_blocks < 2 * threads && g.n >= 4 * threads * columns && g.m * g.n * g.k > 1000000) {
    const Index wanted = std::min(columns_of_block, g.n / (4 * threads));
    const Index width = std::max<Index>(1, wanted / columns) * columns;
    parallel_for((g.n + width - 1) / width,
                 [&](Index s) { stripe(s * width, std::min(width, g.n - s * width)); });
  } else {
    for (Index j0 = 0; j0 < g.n; j0 += columns_of_block) stripe(j0, std::min(columns_of_block, g.n - j0));
  }
}

}  // namespace detail

// c (m,n) = alpha·A·B + beta·c with row stride ldc, then finish(i, j, count, &c[i,j]) for each piece of a
// row. The packers write panels of `tile` rows or columns, a std::integral_constant, `stride` apart:
//   pack_a(range, tile, out, stride)  a panel as microkernel.hpp lays it out, PackA::chunk its chunk
//   pack_b(range, tile, out, stride)  out[p·tile + j]
// What a last, incomplete panel lacks is zero before.
template <class T, class Isa, class PackA, class PackB, class Finish = LeaveAsIs>
void gemm_blocked(const GemmBlocks& g, const PackA& pack_a, const PackB& pack_b, T* c, Index ldc,
                  const Finish& finish = {}) {
  if constexpr (Isa::bytes == 64) {  // up to one register of columns: a taller tile wastes none
    if (g.n <= lanes_of<T, Isa>) {
      return detail::gemm_blocked<T, Isa, 2 * Isa::rows, 1>(g, pack_a, pack_b, c, ldc, finish);
    }
  }
  detail::gemm_blocked<T, Isa, Isa::rows, Isa::vectors>(g, pack_a, pack_b, c, ldc, finish);
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

// Packers for a stored matrix. Of A, element (i, p) is at data[i·stride + p], or at data[p·stride + i] where
// the matrix is stored transposed.
template <class T>
struct MatrixRows {
  static constexpr Index chunk = row_runs;
  const T* data;
  Index stride;

  template <class Tile>
  void operator()(const PackRange& r, Tile, T* out, Index panel) const {
    constexpr Index rows = Tile::value;
    for (Index i = 0; i < r.count; ++i) {
      const T* in = data + (r.first + i) * stride + r.start;
      T* to = out + i / rows * panel + i % rows * chunk;
      Index p = 0;
      for (; p + chunk <= r.depth; p += chunk, to += rows * chunk) std::memcpy(to, in + p, chunk * sizeof(T));
      for (Index q = p; q < r.depth; ++q) to[q - p] = in[q];
    }
  }

  void ask_for(const PackRange& r) const {
    for (Index i = 0; i < r.count; ++i) {
      const T* in = data + (r.first + i) * stride + r.start;
      for (Index p = 0; p < r.depth; p += chunk) __builtin_prefetch(in + p, 0, 2);
    }
  }
};

template <class T>
struct TransposedRows {
  static constexpr Index chunk = rows_interleaved;
  const T* data;
  Index stride;

  template <class Tile>
  void operator()(const PackRange& r, Tile rows, T* out, Index panel) const {
    for (Index p = 0; p < r.depth; ++p) {
      const T* in = data + (r.start + p) * stride + r.first;
      for (Index i = 0; i < r.count; i += rows) {
        copy_tile(in + i, std::min<Index>(rows, r.count - i), rows, out + i / rows * panel + p * rows);
      }
    }
  }
};

// Of B, element (p, j) is at data[p·stride + j], or at data[j·stride + p] where it is stored transposed.
template <class T, class Isa>
struct MatrixColumns {
  const T* data;
  Index stride;
  bool transposed;

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

// One product as packed loops on a given instruction set.
template <class T, class Isa, class Finish = LeaveAsIs>
void gemm_on(const GemmGeometry& g, const T* a, const T* b, T* c, const Finish& finish = {}) {
  const GemmBlocks blocks{g.m, g.n, g.k, g.alpha, g.beta};
  const MatrixColumns<T, Isa> columns{b, g.transpose_b ? g.k : g.n, g.transpose_b};
  if (g.transpose_a) {
    gemm_blocked<T, Isa>(blocks, TransposedRows<T>{a, g.m}, columns, c, g.n, finish);
  } else {
    gemm_blocked<T, Isa>(blocks, MatrixRows<T>{a, g.k}, columns, c, g.n, finish);
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
