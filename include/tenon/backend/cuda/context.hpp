// The CUDA device of the process: its one stream, the library handles and its memory. Everything is made when
// it is first needed and never destroyed, since tensors of static lifetime may outlive any order.
//
// All work goes to one stream. So a block of memory that is given back may be handed out again at once:
// whatever the new owner launches runs after what the old one launched.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "tenon/backend/cuda/error.hpp"
#include "tenon/core/memory.hpp"

namespace tenon::cuda {

// Throws DeviceError with one line if there is no driver or no device; programs call it for `--device cuda`.
inline void require_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) [[likely]]
    return;
  const cudaError_t reason = status == cudaSuccess ? cudaErrorNoDevice : status;
  const char* what = reason == cudaErrorNoDevice ? "no NVIDIA GPU" : "no usable NVIDIA driver";
  fail<DeviceError>("cuda: ", std::string_view(what), ": ", std::string_view(cudaGetErrorString(reason)),
                    " (cudaGetDeviceCount); use --device cpu or the Cpu backend");
}

inline bool device_available() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

// For example "NVIDIA H100 80GB HBM3".
inline std::string device_name() {
  require_device();
  cudaDeviceProp properties{};
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}

class Context {
 public:
  static Context& instance() {
    static auto* context = new Context;
    return *context;
  }

  cudaStream_t stream() const { return stream_; }

  // The handles are not thread-safe; hold lock() while one is in use.
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(guard_); }

  cublasLtHandle_t cublas() {
    if (!cublas_) check(cublasLtCreate(&cublas_), "cublasLtCreate");
    return cublas_;
  }

  cudnnHandle_t cudnn() {
    if (!cudnn_) {
      cudnnHandle_t handle = nullptr;
      check(cudnnCreate(&handle), "cudnnCreate");
      check(cudnnSetStream(handle, stream_), "cudnnSetStream");
      cudnn_ = handle;
    }
    return cudnn_;
  }

 private:
  Context() {
    require_device();
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }

  std::mutex guard_;
  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t cublas_ = nullptr;
  cudnnHandle_t cudnn_ = nullptr;
};

// Where the pool gets its blocks: device memory, aligned to 256 bytes. cudaFree waits for the device, so a
// block is not unmapped under a running kernel.
struct DeviceMemory {
  static void* allocate(std::size_t bytes) {
    Context::instance();  // reports a missing device in its own words
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // or the next launch would report it again
      return nullptr;
    }
    check(status, "cudaMalloc");
    return block;
  }
  static void release(void* block) noexcept { cudaFree(block); }
};

using DevicePool = CachingPool<DeviceMemory>;

// A block for the length of a scope: workspaces and partial sums.
template <class T = std::byte>
class DeviceScratch {
 public:
  explicit DeviceScratch(std::size_t count)
      : bytes_(count * sizeof(T)),
        data_(bytes_ ? static_cast<T*>(DevicePool::instance().allocate(bytes_)) : nullptr) {}
  ~DeviceScratch() {
    if (data_) DevicePool::instance().release(data_, bytes_);
  }
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace tenon::cuda
