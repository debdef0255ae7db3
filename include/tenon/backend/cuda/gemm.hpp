// Matrix products through cuBLASLt.
//
// cuBLASLt counts in columns, we in rows; a row-major matrix is its transpose read column by column. So
// C = op(A)·op(B) is asked for as Cᵀ = op(B)ᵀ·op(A)ᵀ: the operands change places and keep their
// transposition. Sums are in float for the 16-bit types and float (no TF32), in double for double.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>

#include "tenon/backend/cuda/context.hpp"
#include "tenon/backend/cuda/kernels.hpp"
#include "tenon/backend/cuda/vendor_types.hpp"
#include "tenon/core/functors.hpp"
#include "tenon/core/geometry.hpp"

namespace tenon::cuda {

namespace detail {

template <auto Destroy>
struct Deleter {
  template <class P>
  void operator()(P* p) const {
    Destroy(p);
  }
};
using MatmulDesc = std::unique_ptr<cublasLtMatmulDescOpaque_t, Deleter<cublasLtMatmulDescDestroy>>;
using MatrixLayout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Deleter<cublasLtMatrixLayoutDestroy>>;
using MatmulPreference =
    std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Deleter<cublasLtMatmulPreferenceDestroy>>;

// A product as cuBLASLt wants it, with the algorithm its heuristics chose.
struct GemmPlan {
  MatmulDesc product;
  MatrixLayout left, right, result;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
};

// A matrix stored with `rows` rows of `columns` values, as the column-major columns × rows matrix it is
// there.
inline MatrixLayout matrix_layout(cudaDataType_t type, Index rows, Index columns, Index batch, Index stride) {
  cublasLtMatrixLayout_t raw = nullptr;
  check(cublasLtMatrixLayoutCreate(&raw, type, static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), columns),
        "cublasLtMatrixLayoutCreate");
  MatrixLayout layout(raw);
  const auto count = static_cast<std::int32_t>(batch);
  const auto offset = static_cast<std::int64_t>(stride);
  check(cublasLtMatrixLayoutSetAttribute(raw, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
        "cublasLtMatrixLayoutSetAttribute");
  check(cublasLtMatrixLayoutSetAttribute(raw, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset,
                                         sizeof offset),
        "cublasLtMatrixLayoutSetAttribute");
  return layout;
}

// The largest power of two, up to 256, that divides an address: a view may start anywhere in a block.
inline std::uint32_t alignment(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256u;
  return 1u << std::countr_zero(address);
}

template <class T>
GemmPlan make_gemm_plan(cublasLtHandle_t handle, const GemmGeometry& g, const T* a, const T* b, const T* c) {
  constexpr std::uint64_t most_workspace = 32u << 20;  // what NVIDIA advises for Hopper
  constexpr bool wide = std::same_as<T, double>;
  constexpr cudaDataType_t type = cuda_type<T>();
  GemmPlan plan;

  cublasLtMatmulDesc_t product = nullptr;
  check(cublasLtMatmulDescCreate(&product, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  plan.product.reset(product);
  const cublasOperation_t left = g.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t right = g.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left),
        "cublasLtMatmulDescSetAttribute");
  check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right),
        "cublasLtMatmulDescSetAttribute");

  plan.left = matrix_layout(type, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.batch, g.stride_b);
  plan.right = matrix_layout(type, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.batch, g.stride_a);
  plan.result = matrix_layout(type, g.m, g.n, g.batch, g.stride_c);

  cublasLtMatmulPreference_t wishes = nullptr;
  check(cublasLtMatmulPreferenceCreate(&wishes), "cublasLtMatmulPreferenceCreate");
  const MatmulPreference owner(wishes);
  const auto wish = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(wishes, name, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  wish(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
  wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(b));
  wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(a));
  wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(c));
  wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(c));

  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle, product, plan.left.get(), plan.right.get(), plan.result.get(),
                                       plan.result.get(), wishes, 1, &best, &found),
        "cublasLtMatmulAlgoGetHeuristic");
  check(found > 0 ? best.state : CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
  plan.algorithm = best.algo;
  plan.workspace = best.workspaceSize;
  return plan;
}

// Plans by type, geometry and alignment. The caller holds the context's lock.
template <class T>
const GemmPlan& gemm_plan(cublasLtHandle_t handle, const GemmGeometry& g, const T* a, const T* b,
                          const T* c) {
  using Key = std::array<Index, 12>;
  static auto* plans = new std::map<Key, GemmPlan>;  // not destroyed: see context.hpp
  const Key key{
      g.m,        g.n,        g.k,        g.transpose_a ? 1 : 0, g.transpose_b ? 1 : 0, g.batch,
      g.stride_a, g.stride_b, g.stride_c, alignment(a),          alignment(b),          alignment(c)};
  auto at = plans->find(key);
  if (at == plans->end()) at = plans->emplace(key, make_gemm_plan(handle, g, a, b, c)).first;
  return at->second;
}

}  // namespace detail

template <class T>
void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) {
  if (g.m * g.n * g.batch == 0) return;
  auto& context = Context::instance();
  const cudaStream_t stream = context.stream();
  if (g.k == 0) {  // an empty sum
    for (Index i = 0; i < g.batch; ++i) {
      T* out = c + i * g.stride_c;
      check_kernel(g.beta == 0 ? kernels::fill(stream, out, g.m * g.n, T(0))
                               : kernels::map(stream, fn::MulScalar{g.beta}, static_cast<const T*>(out), out,
                                              g.m * g.n),
                   "gemm");
    }
    return;
  }
  const auto lock = context.lock();
  const detail::GemmPlan& plan = detail::gemm_plan(context.cublas(), g, a, b, c);
  const DeviceScratch<> workspace(plan.workspace);
  using Factor = std::conditional_t<std::same_as<T, double>, double, float>;
  const auto alpha = static_cast<Factor>(g.alpha), beta = static_cast<Factor>(g.beta);
  check(cublasLtMatmul(context.cublas(), plan.product.get(), &alpha, b, plan.left.get(), a, plan.right.get(),
                       &beta, c, plan.result.get(), c, plan.result.get(), &plan.algorithm, workspace.data(),
                       workspace.bytes(), stream),
        "cublasLtMatmul");
}

}  // namespace tenon::cuda
