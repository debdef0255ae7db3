// Matrix multiplication after Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication":
// cut the operands into blocks that fit a cache level, copy (pack) each block into the order in which the
// register tile reads it, and run the tile over the packed blocks.
//
// The operands come through packing functions, so the same loops serve matrices, transposes and the patches
// of a convolution. Every element of C is summed in the same order whatever the threads or the blocking of
// rows and columns: results do not depend on the thread count.
#pragma once

#include <algorithm>
#include <cstring>

#include "tenon/backend/cpu/microkernel.hpp"
#include "tenon/backend/cpu/scratch.hpp"
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

// c (m,n) = alpha·A·B + beta·c with row stride ldc. pack_a(range, out) writes out[i·gemm_depth + p];
// pack_b(range, columns, out) writes out[p·columns + j].
template <class T, class Isa, class PackA, class PackB>
void gemm_blocked(const GemmBlocks& g, const PackA& pack_a, const PackB& pack_b, T* c, Index ldc) {
  constexpr Index rows = tile_rows<T, Isa>, columns = tile_columns<T, Isa>;
  constexpr Index block_rows = rows * 8, block_columns = columns * 16;
  const T alpha = static_cast<T>(g.alpha);

  for (Index j0 = 0; j0 < g.n; j0 += block_columns) {
    const Index width = std::min(block_columns, g.n - j0), panels = (width + columns - 1) / columns;
    Scratch<T> packed_b(panels * columns * gemm_depth);
    for (Index p0 = 0; p0 < std::max<Index>(g.k, 1); p0 += gemm_depth) {
      const Index depth = std::min(gemm_depth, g.k - p0);
      const T keep = static_cast<T>(p0 == 0 ? g.beta : 1.0);

      parallel_ranges(panels, std::max<Index>(1, 65536 / (depth * columns + 1)), [&](Index begin, Index end) {
        for (Index panel = begin; panel < end; ++panel) {
          const Index first = j0 + panel * columns, count = std::min(columns, g.n - first);
          T* out = packed_b.data() + panel * columns * gemm_depth;
          if (count < columns) std::memset(out, 0, static_cast<std::size_t>(columns * depth) * sizeof(T));
          pack_b(PackRange{first, count, p0, depth}, columns, out);
        }
      });

      // Tasks: blocks of rows; where those are too few for the threads, the columns are cut as well.
      const Index row_blocks = (g.m + block_rows - 1) / block_rows;
      const bool small = g.m * width * depth < 200000;
      const Index cuts = small ? 1 : std::clamp<Index>(2 * thread_count() / std::max<Index>(1, row_blocks), 1, panels);
      const auto task = [&](Index job) {
        const Index i0 = job / cuts * block_rows, height = std::min(block_rows, g.m - i0);
        const Index first_panel = job % cuts * panels / cuts, last_panel = (job % cuts + 1) * panels / cuts;
        Scratch<T> packed_a((height + rows - 1) / rows * rows * gemm_depth);
        for (Index i = 0; i < height; i += rows) {
          const Index count = std::min(rows, height - i);
          pack_a(PackRange{i0 + i, count, p0, depth}, packed_a.data() + i * gemm_depth);
          for (Index r = count; r < rows; ++r) std::fill_n(packed_a.data() + (i + r) * gemm_depth, depth, T(0));
        }
        alignas(64) T tile[rows * columns];
        for (Index panel = first_panel; panel < last_panel; ++panel) {
          const Index j = j0 + panel * columns, tile_width = std::min(columns, g.n - j);
          for (Index i = 0; i < height; i += rows) {
            TileKernel<T, Isa>::run(depth, packed_a.data() + i * gemm_depth,
                                    packed_b.data() + panel * columns * gemm_depth, tile);
            const Index tile_height = std::min(rows, height - i);
            for (Index r = 0; r < tile_height; ++r) {
              T* out = c + (i0 + i + r) * ldc + j;
              const T* in = tile + r * columns;
              if (keep == T(0)) {
                for (Index q = 0; q < tile_width; ++q) out[q] = alpha * in[q];
              } else {
                for (Index q = 0; q < tile_width; ++q) out[q] = alpha * in[q] + keep * out[q];
              }
            }
          }
        }
      };
      if (small) {
        for (Index job = 0; job < row_blocks; ++job) task(job);
      } else {
        parallel_for(row_blocks * cuts, task);
      }
    }
  }
}

// Packers for a stored matrix whose element (i, p) is at data[i·row_stride + p·column_stride], one of them 1.
template <class T>
struct MatrixRows {
  const T* data;
  Index row_stride, depth_stride;

  void operator()(const PackRange& r, T* out) const {
    for (Index i = 0; i < r.count; ++i) {
      const T* in = data + (r.first + i) * row_stride + r.start * depth_stride;
      T* to = out + i * gemm_depth;
      if (depth_stride == 1) {
        std::copy_n(in, r.depth, to);
      } else {
        for (Index p = 0; p < r.depth; ++p) to[p] = in[p * depth_stride];
      }
    }
  }
};

template <class T>
struct MatrixColumns {
  const T* data;
  Index depth_stride, column_stride;

  void operator()(const PackRange& r, Index columns, T* out) const {
    const T* in = data + r.start * depth_stride + r.first * column_stride;
    if (column_stride == 1) {
      for (Index p = 0; p < r.depth; ++p) std::copy_n(in + p * depth_stride, r.count, out + p * columns);
    } else {
      for (Index j = 0; j < r.count; ++j) {
        for (Index p = 0; p < r.depth; ++p) out[p * columns + j] = in[j * column_stride + p * depth_stride];
      }
    }
  }
};

// One product, or a batch of them.
template <class T>
void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) {
  if (g.batch > 1) {
    GemmGeometry single = g;
    single.batch = 1;
    const auto one = [&](Index i) { gemm(single, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c); };
    if (g.m * g.n * g.k < 1000000) return parallel_for(g.batch, one);
    for (Index i = 0; i < g.batch; ++i) one(i);
    return;
  }
  if (g.m * g.n * g.k <= 512) return gemm_reference(g, a, b, c);
  const MatrixRows<T> rows{a, g.transpose_a ? 1 : g.k, g.transpose_a ? g.m : 1};
  const MatrixColumns<T> columns{b, g.transpose_b ? 1 : g.n, g.transpose_b ? g.k : 1};
  with_best_isa([&](auto isa) {
    gemm_blocked<T, decltype(isa)>({g.m, g.n, g.k, g.alpha, g.beta}, rows, columns, c, g.n);
  });
}

}  // namespace tenon::cpu
