// Failures of the CUDA libraries as DeviceError: the call, the vendor's reason and the device, on one line.
//
//   cuda: invalid configuration argument (kernel reduce, NVIDIA H100 80GB HBM3)
#pragma once

// cuBLAS brings cuda_fp16.h, whose global `half` would make tenon::half ambiguous after `using namespace
// tenon`. Who wants that name as well includes cuda_fp16.h first.
#ifndef CUDA_NO_HALF
#define CUDA_NO_HALF
#include <cublasLt.h>
#undef CUDA_NO_HALF
#else
#include <cublasLt.h>
#endif
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <string>

#include "tenon/core/error.hpp"

namespace tenon::cuda {

// What `call` was made on, for messages; without a usable device, nothing.
inline std::string device_suffix() {
  int device = 0;
  cudaDeviceProp properties{};
  if (cudaGetDevice(&device) != cudaSuccess || cudaGetDeviceProperties(&properties, device) != cudaSuccess)
    return {};
  return text(", ", std::string_view(properties.name));
}

inline void check(cudaError_t status, std::string_view call) {
  if (status == cudaSuccess) [[likely]]
    return;
  fail<DeviceError>("cuda: ", std::string_view(cudaGetErrorString(status)), " (", call, device_suffix(), ")");
}

inline void check(cublasStatus_t status, std::string_view call) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  fail<DeviceError>("cublasLt: ", std::string_view(cublasLtGetStatusString(status)), " (", call,
                    device_suffix(), ")");
}

inline void check(cudnnStatus_t status, std::string_view call) {
  if (status == CUDNN_STATUS_SUCCESS) [[likely]]
    return;
  char details[512] = "";
  cudnnGetLastErrorString(details, sizeof details);
  std::string reason = cudnnGetErrorString(status);
  if (details[0] != '\0') reason += text(": ", std::string_view(details));
  for (char& c : reason) {
    if (c == '\n') c = ' ';
  }
  fail<DeviceError>("cudnn: ", reason, " (", call, device_suffix(), ")");
}

// The status of a function of kernels.hpp.
inline void check_kernel(int status, std::string_view kernel) {
  if (status == cudaSuccess) [[likely]]
    return;
  check(static_cast<cudaError_t>(status), text("kernel ", kernel));
}

// True where cuDNN declines a shape, type or layout that another path can take.
inline bool not_supported(cudnnStatus_t status) { return static_cast<int>(status) / 1000 == 3; }

}  // namespace tenon::cuda
