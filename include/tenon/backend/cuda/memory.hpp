// Copies between main memory and the device, and within the device, in the order of the one stream.
#pragma once

#include "tenon/backend/cuda/context.hpp"
#include "tenon/core/shape.hpp"

namespace tenon::cuda {

inline void synchronize() {
  check(cudaStreamSynchronize(Context::instance().stream()), "cudaStreamSynchronize");
}

template <class T>
void copy(const T* x, T* y, Index n, cudaMemcpyKind kind = cudaMemcpyDeviceToDevice) {
  if (n == 0) return;
  check(cudaMemcpyAsync(y, x, static_cast<std::size_t>(n) * sizeof(T), kind, Context::instance().stream()),
        "cudaMemcpyAsync");
}

// Returns when x may be written again.
template <class T>
void from_host(const T* x, T* y, Index n) {
  copy(x, y, n, cudaMemcpyHostToDevice);
  if (n > 0) synchronize();
}

// Returns when y has its values; errors of earlier kernels are reported here.
template <class T>
void to_host(const T* x, T* y, Index n) {
  copy(x, y, n, cudaMemcpyDeviceToHost);
  if (n > 0) synchronize();
}

}  // namespace tenon::cuda
