// Matrix multiplication: the plain loops, and which of the fast ones a product takes.
#pragma once

#include "tenon/backend/cpu/gemm_dots.hpp"
#include "tenon/backend/cpu/gemm_few_rows.hpp"
#include "tenon/backend/cpu/gemm_operands.hpp"
#include "tenon/core/geometry.hpp"

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

// One product on a given instruction set.
template <class T, class Isa>
void gemm_on(const GemmGeometry& g, const T* a, const T* b, T* c) {
  if (gemm_dots_fits(g)) return gemm_dots<T, Isa>(g, a, b, c);
  if constexpr (gemm_few_rows_exists<T, Isa>) {
    if (gemm_few_rows_fits(g)) return gemm_few_rows<T, Isa>(g, a, b, c);
  }
  const GemmBlocks blocks{g.m, g.n, g.k, g.alpha, g.beta};
  const MatrixColumns<T, Isa> columns{b, g.transpose_b ? g.k : g.n, g.transpose_b};
  if (g.transpose_a) {
    gemm_blocked<T, Isa>(blocks, TransposedRows<T, Isa>{a, g.m}, columns, c, g.n);
  } else {
    gemm_blocked<T, Isa>(blocks, MatrixRows<T, Isa>{a, g.k}, columns, c, g.n);
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
