// cuDNN's descriptors with owners. Every tensor is N×H×W×C.
#pragma once

#include <limits>
#include <memory>

#include "tenon/backend/cuda/context.hpp"
#include "tenon/core/geometry.hpp"

namespace tenon::cuda {

namespace detail {

template <auto Create, auto Destroy, class Handle>
class Descriptor {
 public:
  Descriptor() { check(Create(&handle_), "cudnnCreate…Descriptor"); }
  ~Descriptor() { Destroy(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using TensorDescriptor =
    Descriptor<cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor, cudnnTensorDescriptor_t>;
using FilterDescriptor =
    Descriptor<cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor, cudnnFilterDescriptor_t>;
using ConvolutionDescriptor = Descriptor<cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor,
                                         cudnnConvolutionDescriptor_t>;

inline void set_tensor(const TensorDescriptor& tensor, cudnnDataType_t type, Index n, Index h, Index w,
                       Index c) {
  check(cudnnSetTensor4dDescriptor(tensor.get(), CUDNN_TENSOR_NHWC, type, static_cast<int>(n),
                                   static_cast<int>(c), static_cast<int>(h), static_cast<int>(w)),
        "cudnnSetTensor4dDescriptor");
}

// cuDNN counts in int, and its kernels address up to 2^31 elements.
inline bool fits_cudnn(Index elements) { return elements > 0 && elements <= std::numeric_limits<int>::max(); }

}  // namespace detail

}  // namespace tenon::cuda
