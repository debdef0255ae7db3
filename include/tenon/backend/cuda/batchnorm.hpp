// Batch normalisation over the rows of x (rows, c) on the GPU. Training in float goes through cuDNN; double,
// and shapes that cuDNN declines, through kernels/batchnorm.cu.
#pragma once

#include <array>
#include <map>

#include "tenon/backend/cuda/descriptors.hpp"
#include "tenon/backend/cuda/kernels.hpp"
#include "tenon/backend/cuda/memory.hpp"
#include "tenon/core/functors.hpp"

namespace tenon::cuda {

namespace detail {

// cuDNN's "persistent" mode is the one with fast kernels for N×H×W×C.
inline constexpr cudnnBatchNormMode_t norm_mode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
inline constexpr cudnnBatchNormOps_t norm_ops = CUDNN_BATCHNORM_OPS_BN;
inline constexpr float norm_one = 1, norm_zero = 0;

struct BatchNormPlan {
  TensorDescriptor x, channels;
  std::size_t forward_workspace = 0, backward_workspace = 0;
  bool usable = false;

  // The rows stand as one picture, halved into height and width as often as they divide: a batch of many
  // pictures would meet cuDNN's limit on N (880801).
  BatchNormPlan(cudnnHandle_t handle, Index rows, Index c) {
    Index h = rows, w = 1;
    while (h % 2 == 0 && h > w) {
      h /= 2;
      w *= 2;
    }
    set_tensor(x, CUDNN_DATA_FLOAT, 1, h, w, c);
    check(cudnnDeriveBNTensorDescriptor(channels.get(), x.get(), norm_mode), "cudnnDeriveBNTensorDescriptor");
    const auto supported = [](cudnnStatus_t status, std::string_view call) {
      if (!not_supported(status)) check(status, call);
      return status == CUDNN_STATUS_SUCCESS;
    };
    std::size_t reserve = 0;
    usable = supported(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
                           handle, norm_mode, norm_ops, x.get(), x.get(), x.get(), channels.get(), nullptr,
                           &forward_workspace),
                       "cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize") &&
             supported(cudnnGetBatchNormalizationBackwardExWorkspaceSize(
                           handle, norm_mode, norm_ops, x.get(), x.get(), x.get(), nullptr, x.get(),
                           channels.get(), nullptr, &backward_workspace),
                       "cudnnGetBatchNormalizationBackwardExWorkspaceSize") &&
             supported(cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle, norm_mode, norm_ops,
                                                                            nullptr, x.get(), &reserve),
                       "cudnnGetBatchNormalizationTrainingExReserveSpaceSize") &&
             reserve == 0;  // nothing to carry from the forward to the backward pass but mean and inv_std
  }
};

// Plans by shape, or null where cuDNN declines. The caller holds the context's lock.
inline BatchNormPlan* batch_norm_plan(cudnnHandle_t handle, Index rows, Index c) {
  if (!fits_cudnn(rows * c)) return nullptr;
  static auto* plans = new std::map<std::array<Index, 2>, BatchNormPlan>;  // not destroyed: see context.hpp
  auto& plan = plans->try_emplace({rows, c}, handle, rows, c).first->second;
  return plan.usable ? &plan : nullptr;
}

// True when cuDNN did the work; a shape it declines after all is not tried again.
inline bool finished(BatchNormPlan& plan, cudnnStatus_t status, std::string_view call) {
  if (not_supported(status))
    plan.usable = false;
  else
    check(status, call);
  return plan.usable;
}

inline bool cudnn_norm_forward(Index rows, Index c, double eps, const float* x, const float* gamma,
                               const float* beta, float* y, float* mean, float* inv_std) {
  auto& context = Context::instance();
  const auto lock = context.lock();
  BatchNormPlan* plan = batch_norm_plan(context.cudnn(), rows, c);
  if (!plan) return false;
  const DeviceScratch<> workspace(plan->forward_workspace);
  const cudnnStatus_t status = cudnnBatchNormalizationForwardTrainingEx(
      context.cudnn(), norm_mode, norm_ops, &norm_one, &norm_zero, plan->x.get(), x, nullptr, nullptr,
      plan->x.get(), y, plan->channels.get(), gamma, beta, 1.0, nullptr, nullptr, eps, mean, inv_std, nullptr,
      workspace.data(), workspace.bytes(), nullptr, 0);
  return finished(*plan, status, "cudnnBatchNormalizationForwardTrainingEx");
}

// cuDNN's backward pass uses the saved mean and inv_std; its own epsilon is then not read.
inline bool cudnn_norm_backward(Index rows, Index c, const float* x, const float* dy, const float* mean,
                                const float* inv_std, const float* gamma, float* dx, float* dgamma,
                                float* dbeta) {
  auto& context = Context::instance();
  const auto lock = context.lock();
  BatchNormPlan* plan = batch_norm_plan(context.cudnn(), rows, c);
  if (!plan) return false;
  const DeviceScratch<> workspace(plan->backward_workspace);
  const cudnnStatus_t status = cudnnBatchNormalizationBackwardEx(
      context.cudnn(), norm_mode, norm_ops, &norm_one, &norm_zero, &norm_one, &norm_zero, plan->x.get(), x,
      nullptr, nullptr, plan->x.get(), dy, nullptr, nullptr, plan->x.get(), dx, plan->channels.get(), gamma,
      nullptr, dgamma, dbeta, 1e-5, mean, inv_std, nullptr, workspace.data(), workspace.bytes(), nullptr, 0);
  return finished(*plan, status, "cudnnBatchNormalizationBackwardEx");
}

template <class T>
DeviceScratch<T> norm_partial(Index rows, Index c) {
  return DeviceScratch<T>(static_cast<std::size_t>(kernels::ReducePlan::of(rows, c).pieces * 2 * c));
}

}  // namespace detail

// mean (c) and biased variance (c) of the rows.
template <class T>
void batch_norm_statistics(Index rows, Index c, const T* x, T* mean, T* variance) {
  const auto partial = detail::norm_partial<T>(rows, c);
  check_kernel(kernels::batch_norm_statistics(Context::instance().stream(), rows, c, x, partial.data(), mean,
                                              variance),
               "batch_norm_statistics");
}

// y = relu((x - mean)·inv_std·gamma + beta + residual), the residual and the rectifier where asked for.
template <class T>
void batch_norm_apply(const BatchNormGeometry& g, const T* x, const T* mean, const T* inv_std, const T* gamma,
                      const T* beta, const T* residual, T* y) {
  check_kernel(kernels::batch_norm_apply(Context::instance().stream(), g, x, mean, inv_std, gamma, beta,
                                         residual, y),
               "batch_norm_apply");
}

// cuDNN gives inv_std alone; the variance is computed back from it. Where it is far below eps that loses
// digits, but what anyone uses is variance + eps. What follows the normalisation is then a pass of its own.
template <class T>
void batch_norm_forward_train(const BatchNormGeometry& g, double eps, const T* x, const T* gamma,
                              const T* beta, const T* residual, T* y, T* mean, T* inv_std, T* variance) {
  const cudaStream_t stream = Context::instance().stream();
  if constexpr (std::same_as<T, float>) {
    if (detail::cudnn_norm_forward(g.rows, g.c, eps, x, gamma, beta, y, mean, inv_std)) {
      check_kernel(kernels::batch_norm_variance(stream, g.c, eps, static_cast<const T*>(inv_std), variance),
                   "batch_norm_variance");
      const T* normalised = y;
      if (g.residual) {
        check_kernel(kernels::zip(stream, fn::Add{}, normalised, residual, y, g.rows * g.c), "zip");
      }
      if (g.relu) check_kernel(kernels::map(stream, fn::Relu{}, normalised, y, g.rows * g.c), "map");
      return;
    }
  }
  batch_norm_statistics(g.rows, g.c, x, mean, variance);
  check_kernel(kernels::batch_norm_inv_std(stream, g.c, eps, static_cast<const T*>(variance), inv_std),
               "batch_norm_inv_std");
  batch_norm_apply<T>(g, x, mean, inv_std, gamma, beta, residual, y);
}

// dresidual may be null; it and dx may be dy itself. With a rectifier the gradient behind it goes to dresidual, or to
// scratch; cuDNN is never given one array to read and to write.
template <class T>
void batch_norm_backward(const BatchNormGeometry& g, const T* x, const T* dy, const T* y, const T* mean,
                         const T* inv_std, const T* gamma, T* dx, T* dresidual, T* dgamma, T* dbeta) {
  const cudaStream_t stream = Context::instance().stream();
  const Index n = g.rows * g.c;
  const bool stored = g.relu && dresidual, copied = !stored && (g.relu || dx == dy);
  const DeviceScratch<T> scratch(static_cast<std::size_t>(copied ? n : 0));
  T* behind = stored ? dresidual : scratch.data();
  if (g.relu) check_kernel(kernels::zip(stream, fn::ReluGrad{}, dy, y, behind, n), "zip");
  else if (copied) copy(dy, behind, n);
  const T* incoming = stored || copied ? behind : dy;
  if constexpr (std::same_as<T, float>) {
    if (detail::cudnn_norm_backward(g.rows, g.c, x, incoming, mean, inv_std, gamma, dx, dgamma, dbeta)) return;
  }
  const auto partial = detail::norm_partial<T>(g.rows, g.c);
  const DeviceScratch<T> coefficients(static_cast<std::size_t>(3 * g.c));
  check_kernel(kernels::batch_norm_backward(stream, g.rows, g.c, x, incoming, mean, inv_std, gamma,
                                            partial.data(), coefficients.data(), dx, dgamma, dbeta),
               "batch_norm_backward");
}

}  // namespace tenon::cuda
