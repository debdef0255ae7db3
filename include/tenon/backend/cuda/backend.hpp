// The CUDA backend, gathered: the same names as Backend<Cpu>, over cuBLASLt, cuDNN and the kernels of
// kernels/. Pointers are device memory, except for the host side of from_host and to_host.
//
// Calls return when the work is queued on the one stream; to_host and synchronize wait for it. Elementwise
// work, gemm and convolution take float, double, half and bfloat16; the rest float and double.
#pragma once

#include <vector>

#include "tenon/backend/cuda/batchnorm.hpp"
#include "tenon/backend/cuda/context.hpp"
#include "tenon/backend/cuda/conv.hpp"
#include "tenon/backend/cuda/gemm.hpp"
#include "tenon/backend/cuda/kernels.hpp"
#include "tenon/backend/cuda/memory.hpp"
#include "tenon/backend/cuda/reduce.hpp"
#include "tenon/core/device.hpp"

namespace tenon {

template <>
struct Backend<Cuda> {
  // ---- memory
  static void* allocate(std::size_t bytes) { return cuda::DevicePool::instance().allocate(bytes); }
  static void release(void* block, std::size_t bytes) noexcept {
    cuda::DevicePool::instance().release(block, bytes);
  }
  static MemoryStats memory_stats() { return cuda::DevicePool::instance().stats(); }
  template <class T>
  static void copy(const T* x, T* y, Index n) {
    cuda::copy(x, y, n);
  }
  template <class T>
  static void from_host(const T* x, T* y, Index n) {
    cuda::from_host(x, y, n);
  }
  template <class T>
  static void to_host(const T* x, T* y, Index n) {
    cuda::to_host(x, y, n);
  }
  static void synchronize() { cuda::synchronize(); }

  // ---- elementwise
  template <class T>
  static void fill(T* y, Index n, T value) {
    cuda::check_kernel(cuda::kernels::fill(stream(), y, n, value), "fill");
  }
  template <class Op, class T>
  static void map(Op op, const T* x, T* y, Index n) {
    cuda::check_kernel(cuda::kernels::map(stream(), op, x, y, n), "map");
  }
  template <class Op, class T>
  static void zip(Op op, const T* a, const T* b, T* y, Index n) {
    cuda::check_kernel(cuda::kernels::zip(stream(), op, a, b, y, n), "zip");
  }
  template <class Op, class T>
  static void zip(Op op, const BroadcastGeometry& g, const T* a, const T* b, T* y) {
    cuda::check_kernel(cuda::kernels::zip_broadcast(stream(), op, g, a, b, y), "zip_broadcast");
  }
  template <class From, class To>
  static void convert(const From* x, To* y, Index n) {
    cuda::check_kernel(cuda::kernels::convert(stream(), x, y, n), "convert");
  }
  template <class T>
  static void copy_strided(const StridedGeometry& g, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::copy_strided(stream(), g, x, y), "copy_strided");
  }

  // ---- random numbers
  template <class T>
  static void random_uniform(const RngState& rng, std::uint64_t first_block, double low, double high, T* y,
                             Index n) {
    cuda::check_kernel(cuda::kernels::random_uniform(stream(), rng, first_block, low, high, y, n),
                       "random_uniform");
  }
  template <class T>
  static void random_bernoulli(const RngState& rng, std::uint64_t first_block, double probability,
                               double value, T* y, Index n) {
    cuda::check_kernel(cuda::kernels::random_bernoulli(stream(), rng, first_block, probability, value, y, n),
                       "random_bernoulli");
  }

  // ---- reductions; Op is fn::Sum, fn::Max or fn::Min
  template <class Op, class T>
  static void reduce(Op op, const ReduceGeometry& g, const T* x, T* y) {
    cuda::reduce(op, g, x, y);
  }
  template <class T>
  static void argmax(const ReduceGeometry& g, const T* x, std::int64_t* y) {
    cuda::check_kernel(cuda::kernels::argmax(stream(), g, x, y), "argmax");
  }

  // ---- linear algebra
  template <class T>
  static void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) {
    cuda::gemm(g, a, b, c);
  }

  // ---- networks
  template <class T>
  static void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
    cuda::conv2d_forward(g, x, w, bias, y);
  }
  template <class T>
  static void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
    cuda::conv2d_backward_data(g, dy, w, dx);
  }
  template <class T>
  static void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
    cuda::conv2d_backward_weights(g, x, dy, dw);
  }

  template <class T>
  static void batch_norm_statistics(Index rows, Index c, const T* x, T* mean, T* variance) {
    cuda::batch_norm_statistics(rows, c, x, mean, variance);
  }
  template <class T>
  static void batch_norm_apply(const BatchNormGeometry& g, const T* x, const T* mean, const T* inv_std,
                               const T* gamma, const T* beta, const T* residual, T* y) {
    cuda::batch_norm_apply(g, x, mean, inv_std, gamma, beta, residual, y);
  }
  template <class T>
  static void batch_norm_forward_train(const BatchNormGeometry& g, double eps, const T* x, const T* gamma,
                                       const T* beta, const T* residual, T* y, T* mean, T* inv_std,
                                       T* variance) {
    cuda::batch_norm_forward_train(g, eps, x, gamma, beta, residual, y, mean, inv_std, variance);
  }
  template <class T>
  static void batch_norm_backward(const BatchNormGeometry& g, const T* x, const T* dy, const T* y,
                                  const T* mean, const T* inv_std, const T* gamma, const T*, T* dx,
                                  T* dresidual, T* dgamma, T* dbeta) {
    cuda::batch_norm_backward(g, x, dy, y, mean, inv_std, gamma, dx, dresidual, dgamma, dbeta);
  }

  template <class T, class I>
  static void max_pool_forward(const Pool2dGeometry& g, const T* x, T* y, I* index) {
    cuda::check_kernel(cuda::kernels::max_pool_forward(stream(), g, x, y, index), "max_pool_forward");
  }
  template <class T, class I>
  static void max_pool_backward(const Pool2dGeometry& g, const T* dy, const I* index, T* dx) {
    cuda::check_kernel(cuda::kernels::max_pool_backward(stream(), g, dy, index, dx), "max_pool_backward");
  }
  template <class T>
  static void avg_pool_forward(const Pool2dGeometry& g, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::avg_pool_forward(stream(), g, x, y), "avg_pool_forward");
  }
  template <class T>
  static void avg_pool_backward(const Pool2dGeometry& g, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::avg_pool_backward(stream(), g, dy, dx), "avg_pool_backward");
  }
  template <class T>
  static void adaptive_avg_pool_forward(const ResizeGeometry& g, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::adaptive_avg_pool_forward(stream(), g, x, y),
                       "adaptive_avg_pool_forward");
  }
  template <class T>
  static void adaptive_avg_pool_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::adaptive_avg_pool_backward(stream(), g, dy, dx),
                       "adaptive_avg_pool_backward");
  }
  template <class T>
  static void upsample_nearest_forward(const ResizeGeometry& g, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::upsample_nearest_forward(stream(), g, x, y),
                       "upsample_nearest_forward");
  }
  template <class T>
  static void upsample_nearest_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::upsample_nearest_backward(stream(), g, dy, dx),
                       "upsample_nearest_backward");
  }
  template <class T>
  static void upsample_bilinear_forward(const ResizeGeometry& g, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::upsample_bilinear_forward(stream(), g, x, y),
                       "upsample_bilinear_forward");
  }
  template <class T>
  static void upsample_bilinear_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::upsample_bilinear_backward(stream(), g, dy, dx),
                       "upsample_bilinear_backward");
  }

  template <class T>
  static void softmax_forward(Index rows, Index columns, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::softmax_forward(stream(), rows, columns, x, y), "softmax_forward");
  }
  template <class T>
  static void softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::softmax_backward(stream(), rows, columns, y, dy, dx),
                       "softmax_backward");
  }
  template <class T>
  static void log_softmax_forward(Index rows, Index columns, const T* x, T* y) {
    cuda::check_kernel(cuda::kernels::log_softmax_forward(stream(), rows, columns, x, y),
                       "log_softmax_forward");
  }
  template <class T>
  static void log_softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
    cuda::check_kernel(cuda::kernels::log_softmax_backward(stream(), rows, columns, y, dy, dx),
                       "log_softmax_backward");
  }
  template <class T>
  static void cross_entropy(Index rows, Index columns, double scale, const T* x, const T* targets, T* losses,
                            T* gradient) {
    cuda::check_kernel(
        cuda::kernels::cross_entropy(stream(), rows, columns, scale, x, targets, losses, gradient),
        "cross_entropy");
  }

  // ---- optimisers: one kernel a parameter
  template <class T>
  static void sgd_update(const std::vector<SgdUpdate<T>>& updates) {
    for (const auto& u : updates) {
      cuda::check_kernel(cuda::kernels::sgd_update(stream(), u.step, u.grad, u.velocity, u.param, u.n),
                         "sgd_update");
    }
  }
  template <class T>
  static void adam_update(const std::vector<AdamUpdate<T>>& updates) {
    for (const auto& u : updates) {
      cuda::check_kernel(cuda::kernels::adam_update(stream(), u.step, u.grad, u.mean, u.square, u.param, u.n),
                         "adam_update");
    }
  }

 private:
  static cudaStream_t stream() { return cuda::Context::instance().stream(); }
};

}  // namespace tenon
