// How the vendor's libraries name our scalar types.
#pragma once

#include "tenon/backend/cuda/error.hpp"
#include "tenon/core/scalar.hpp"

namespace tenon::cuda {

template <Floating T>
constexpr cudaDataType_t cuda_type() {
  if constexpr (std::same_as<T, float>)
    return CUDA_R_32F;
  else if constexpr (std::same_as<T, double>)
    return CUDA_R_64F;
  else if constexpr (std::same_as<T, half>)
    return CUDA_R_16F;
  else
    return CUDA_R_16BF;
}

template <Floating T>
constexpr cudnnDataType_t cudnn_type() {
  if constexpr (std::same_as<T, float>)
    return CUDNN_DATA_FLOAT;
  else if constexpr (std::same_as<T, double>)
    return CUDNN_DATA_DOUBLE;
  else if constexpr (std::same_as<T, half>)
    return CUDNN_DATA_HALF;
  else
    return CUDNN_DATA_BFLOAT16;
}

}  // namespace tenon::cuda
