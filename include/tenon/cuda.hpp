// Tensors on an NVIDIA GPU: include this, link tenon::cuda, and use Cuda where Cpu stood.
//
//   #include <tenon/cuda.hpp>
//   #include <tenon/tenon.hpp>
//   tenon::Tensor<float, tenon::Cuda> x = host.to<tenon::Cuda>();
//
// It completes Backend<Cuda>. The compiler must have seen it before the first use of a type on Cuda (not
// before the other headers), or it reports Backend<Cuda> as incomplete. cuda::require_device() throws
// DeviceError with one line where there is no GPU or no driver.
#pragma once

#include "tenon/backend/cuda/backend.hpp"
#include "tenon/tensor/tensor.hpp"
