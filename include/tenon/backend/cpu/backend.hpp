// The CPU backend, gathered: every kernel that the tensor layer may call, under the name it calls it by.
// backend/cuda/backend.hpp offers the same list.
#pragma once

#include "tenon/backend/cpu/batchnorm.hpp"
#include "tenon/backend/cpu/conv.hpp"
#include "tenon/backend/cpu/conv_pool.hpp"
#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/narrow.hpp"
#include "tenon/backend/cpu/pool.hpp"
#include "tenon/backend/cpu/random.hpp"
#include "tenon/backend/cpu/reduce.hpp"
#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/backend/cpu/softmax.hpp"
#include "tenon/backend/cpu/update.hpp"
#include "tenon/backend/cpu/upsample.hpp"
#include "tenon/core/device.hpp"

namespace tenon {

template <>
struct Backend<Cpu> {
  // ---- memory
  static void* allocate(std::size_t bytes) { return cpu::HostPool::instance().allocate(bytes); }
  static void release(void* block, std::size_t bytes) noexcept { cpu::HostPool::instance().release(block, bytes); }
  static MemoryStats memory_stats() { return cpu::HostPool::instance().stats(); }
  template <class T> static void copy(const T* x, T* y, Index n) { cpu::copy(x, y, n); }
  template <class T> static void from_host(const T* x, T* y, Index n) { cpu::copy(x, y, n); }
  template <class T> static void to_host(const T* x, T* y, Index n) { cpu::copy(x, y, n); }
  static void synchronize() {}

  // ---- elementwise
  template <class T> static void fill(T* y, Index n, T value) { cpu::fill(y, n, value); }
  template <class Op, class T> static void map(Op op, const T* x, T* y, Index n) { cpu::map(op, x, y, n); }
  template <class Op, class T> static void zip(Op op, const T* a, const T* b, T* y, Index n) {
    cpu::zip(op, a, b, y, n);
  }
  template <class Op, class T>
  static void zip(Op op, const BroadcastGeometry& g, const T* a, const T* b, T* y) {
    cpu::zip(op, g, a, b, y);
  }
  template <class From, class To> static void convert(const From* x, To* y, Index n) { cpu::convert(x, y, n); }
  template <class T> static void copy_strided(const StridedGeometry& g, const T* x, T* y) {
    cpu::copy_strided(g, x, y);
  }

  // ---- random numbers
  template <class T>
  static void random_uniform(const RngState& rng, std::uint64_t first_block, double low, double high, T* y, Index n) {
    cpu::random_uniform(rng, first_block, low, high, y, n);
  }
  template <class T>
  static void random_bernoulli(const RngState& rng, std::uint64_t first_block, double probability, double value, T* y,
                               Index n) {
    cpu::random_bernoulli(rng, first_block, probability, value, y, n);
  }

  // ---- reductions; Op is fn::Sum, fn::Max or fn::Min
  template <class Op, class T> static void reduce(Op op, const ReduceGeometry& g, const T* x, T* y) {
    cpu::reduce(op, g, x, y);
  }
  template <class T> static void argmax(const ReduceGeometry& g, const T* x, std::int64_t* y) { cpu::argmax(g, x, y); }

  // ---- linear algebra
  template <class T> static void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) { cpu::gemm(g, a, b, c); }

  // ---- networks
  template <class T>
  static void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
    cpu::conv2d_forward(g, x, w, cpu::Epilogue<T>{.bias = bias}, y);
  }
  // y = relu(conv(x) + bias + residual) in one pass; bias (O) and residual, of y's shape, may be null. The forms
  // of w that the algorithms make stay in `forms`, unless that is null.
  template <class T>
  static void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, Derived* forms,
                             const cpu::Epilogue<T>& finish, T* y) {
    cpu::conv2d_forward(g, x, {w, forms}, finish, y);
  }
  // The same, and the mean and the biased variance (O) of each of y's channels.
  template <class T>
  static void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, Derived* forms,
                             cpu::Epilogue<T> finish, T* y, T* mean, T* variance) {
    cpu::Moments<T> moments(g.o);
    finish.moments = &moments;
    cpu::conv2d_forward(g, x, {w, forms}, finish, y);
    moments.started() ? moments.combine(mean, variance)
                      : cpu::batch_norm_statistics(g.n * g.oh * g.ow, g.o, y, mean, variance);
  }
  template <class T> static void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
    cpu::conv2d_backward_data(g, dy, w, false, dx);
  }
  // dx += the gradient.
  template <class T>
  static void conv2d_add_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
    cpu::conv2d_backward_data(g, dy, w, true, dx);
  }
  template <class T> static void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
    cpu::conv2d_backward_weights(g, x, dy, dw);
  }

  // y = the largest value in each window of relu(conv(x) + bias); `forms` as above.
  template <class T>
  static void conv2d_relu_max_pool2d(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w,
                                     Derived* forms, const T* bias, T* y) {
    cpu::conv2d_relu_max_pool2d<T>(g, p, x, {w, forms}, bias, y);
  }
  // The same with its backward pass, where conv_pool_fits says so.
  static bool conv_pool_fits(const Conv2dGeometry& g, const Pool2dGeometry& p) { return cpu::conv_pool_fits(g, p); }
  static Index conv_pool_codes(const Conv2dGeometry& g, const Pool2dGeometry& p) { return cpu::conv_pool_codes(g, p); }
  template <class T>
  static void conv_pool_forward(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w, const T* bias,
                                T* y, std::uint8_t* codes) {
    cpu::conv_pool_forward(g, p, x, w, bias, y, codes);
  }
  template <class T>
  static void conv_pool_backward(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w, const T* dy,
                                 const std::uint8_t* codes, T* dx, T* dw, T* dbias) {
    cpu::conv_pool_backward(g, p, x, w, dy, codes, dx, dw, dbias);
  }

  template <class T> static void batch_norm_statistics(Index rows, Index c, const T* x, T* mean, T* variance) {
    cpu::batch_norm_statistics(rows, c, x, mean, variance);
  }
  template <class T>
  static void batch_norm_apply(const BatchNormGeometry& g, const T* x, const T* mean, const T* inv_std, const T* gamma,
                               const T* beta, const T* residual, T* y) {
    cpu::batch_norm_apply(g, x, mean, inv_std, gamma, beta, residual, y);
  }
  template <class T>
  static void batch_norm_forward_train(const BatchNormGeometry& g, double eps, const T* x, const T* gamma,
                                       const T* beta, const T* residual, T* y, T* mean, T* inv_std, T* variance) {
    cpu::batch_norm_forward_train(g, eps, x, gamma, beta, residual, y, mean, inv_std, variance);
  }
  template <class T>
  static void batch_norm_backward(const BatchNormGeometry& g, const T* x, const T* dy, const T* y, const T* mean,
                                  const T* inv_std, const T* gamma, const T* beta, T* dx, T* dresidual, T* dgamma,
                                  T* dbeta) {
    cpu::batch_norm_backward(g, x, dy, y, mean, inv_std, gamma, beta, dx, dresidual, dgamma, dbeta);
  }

  template <class T, class I> static void max_pool_forward(const Pool2dGeometry& g, const T* x, T* y, I* index) {
    cpu::max_pool_forward(g, x, y, index);
  }
  // Without what the gradient needs.
  template <class T> static void max_pool_forward(const Pool2dGeometry& g, const T* x, T* y) {
    cpu::max_pool_forward(g, x, y);
  }
  template <class T, class I>
  static void max_pool_backward(const Pool2dGeometry& g, const T* dy, const I* index, T* dx) {
    cpu::max_pool_backward(g, dy, index, dx);
  }
  template <class T> static void avg_pool_forward(const Pool2dGeometry& g, const T* x, T* y) {
    cpu::avg_pool_forward(g, x, y);
  }
  template <class T> static void avg_pool_backward(const Pool2dGeometry& g, const T* dy, T* dx) {
    cpu::avg_pool_backward(g, dy, dx);
  }
  template <class T> static void adaptive_avg_pool_forward(const ResizeGeometry& g, const T* x, T* y) {
    cpu::adaptive_avg_pool_forward(g, x, y);
  }
  template <class T> static void adaptive_avg_pool_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cpu::adaptive_avg_pool_backward(g, dy, dx);
  }
  template <class T> static void upsample_nearest_forward(const ResizeGeometry& g, const T* x, T* y) {
    cpu::upsample_nearest_forward(g, x, y);
  }
  template <class T> static void upsample_nearest_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cpu::upsample_nearest_backward(g, dy, dx);
  }
  template <class T> static void upsample_bilinear_forward(const ResizeGeometry& g, const T* x, T* y) {
    cpu::upsample_bilinear_forward(g, x, y);
  }
  template <class T> static void upsample_bilinear_backward(const ResizeGeometry& g, const T* dy, T* dx) {
    cpu::upsample_bilinear_backward(g, dy, dx);
  }

  template <class T> static void softmax_forward(Index rows, Index columns, const T* x, T* y) {
    cpu::softmax_forward(rows, columns, x, y);
  }
  template <class T> static void softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
    cpu::softmax_backward(rows, columns, y, dy, dx);
  }
  template <class T> static void log_softmax_forward(Index rows, Index columns, const T* x, T* y) {
    cpu::log_softmax_forward(rows, columns, x, y);
  }
  template <class T> static void log_softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
    cpu::log_softmax_backward(rows, columns, y, dy, dx);
  }
  template <class T>
  static void cross_entropy(Index rows, Index columns, double scale, const T* x, const T* targets, T* losses,
                            T* gradient) {
    cpu::cross_entropy(rows, columns, scale, x, targets, losses, gradient);
  }

  // ---- optimisers
  template <class T> static void sgd_update(const std::vector<SgdUpdate<T>>& updates) { cpu::sgd_update(updates); }
  template <class T> static void adam_update(const std::vector<AdamUpdate<T>>& updates) { cpu::adam_update(updates); }
};

}  // namespace tenon
