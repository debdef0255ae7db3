// What the kernels share: how a loop is spread over a grid, how 16-bit numbers are read and written, and sums
// over a block in an order that depends on nothing but the block.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "tenon/backend/cuda/kernels.hpp"

namespace tenon::cuda::kernels {

inline constexpr int block_threads = 256;

// Enough blocks to fill any present GPU; longer loops go round (grid-stride), so no size is too large.
inline unsigned blocks_for(Index jobs) {
  return static_cast<unsigned>(std::clamp<Index>(jobs, 1, Index{1} << 16));
}

// Every thread of the grid takes elements at `first`, `first + step`, ….
__device__ inline Index first_element() { return static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline Index element_step() { return static_cast<Index>(gridDim.x) * blockDim.x; }

template <class Body>
__global__ void __launch_bounds__(block_threads) each_element(Index n, Body body) {
  for (Index i = first_element(); i < n; i += element_step()) body(i);
}

// Runs body(i) for i = 0 … n-1.
template <class Body>
Status launch_each(Stream stream, Index n, const Body& body) {
  if (n <= 0) return cudaSuccess;
  each_element<<<blocks_for((n + block_threads - 1) / block_threads), block_threads, 0, stream>>>(n, body);
  return cudaGetLastError();
}

// A stored number in the type it is computed in, and back.
template <class T>
__device__ Wide<T> widen(T value) {
  if constexpr (std::same_as<T, half>) {
    return __half2float(__ushort_as_half(value.bits));
  } else if constexpr (std::same_as<T, bfloat16>) {
    return __bfloat162float(__ushort_as_bfloat16(value.bits));
  } else {
    return value;
  }
}

template <class T, class W>
__device__ T narrow(W value) {
  if constexpr (std::same_as<T, half>) {
    T out;
    out.bits = __half_as_ushort(__float2half_rn(static_cast<float>(value)));
    return out;
  } else if constexpr (std::same_as<T, bfloat16>) {
    T out;
    out.bits = __bfloat16_as_ushort(__float2bfloat16_rn(static_cast<float>(value)));
    return out;
  } else {
    return static_cast<T>(value);
  }
}

// The 32 lanes' values combined, in every lane. Each level pairs the same lanes, so the order is fixed.
template <class Op, class W>
__device__ W warp_reduce(Op op, W value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  }
  return value;
}

// Threads stand as rows of `columns` (a power of two, at most 32): combines each column over the rows, into
// the first row's threads. `shared` has a value a thread; all threads must call it.
template <class Op, class W>
__device__ W column_reduce(Op op, W value, int columns, W* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = value;
  __syncthreads();
  for (int half_threads = static_cast<int>(blockDim.x) / 2; half_threads >= columns; half_threads /= 2) {
    if (thread < half_threads) shared[thread] = op(shared[thread], shared[thread + half_threads]);
    __syncthreads();
  }
  const W result = shared[thread % columns];
  __syncthreads();  // before the next use of `shared`
  return result;
}

}  // namespace tenon::cuda::kernels
