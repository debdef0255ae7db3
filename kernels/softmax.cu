// Softmax and its logarithm over the rows of x (rows, columns), stable for large values. A warp takes a row:
// its lanes stride over the columns and combine in a fixed order.
#include "launch.cuh"
#include "tenon/core/functors.hpp"

namespace tenon::cuda::kernels {

namespace {

constexpr Index rows_per_block = block_threads / 32;

template <class Body>
__global__ void __launch_bounds__(block_threads) each_row(Index rows, Body body) {
  const Index warp = static_cast<Index>(threadIdx.x) / 32;
  const Index lane = static_cast<Index>(threadIdx.x) % 32;
  for (Index r = blockIdx.x * rows_per_block + warp; r < rows; r += gridDim.x * rows_per_block) body(r, lane);
}

template <class Body>
Status launch_rows(Stream stream, Index rows, const Body& body) {
  if (rows <= 0) return cudaSuccess;
  each_row<<<blocks_for((rows + rows_per_block - 1) / rows_per_block), block_threads, 0, stream>>>(rows,
                                                                                                   body);
  return cudaGetLastError();
}

template <class T>
__device__ T row_max(const T* x, Index columns, Index lane) {
  T top = fn::Max::start<T>();
  for (Index i = lane; i < columns; i += 32) top = fn::Maximum{}(top, x[i]);
  return warp_reduce(fn::Maximum{}, top);
}

template <class T>
__device__ T row_exp_sum(const T* x, T top, Index columns, Index lane) {
  T sum = 0;
  for (Index i = lane; i < columns; i += 32) sum += exp(x[i] - top);
  return warp_reduce(fn::Add{}, sum);
}

}  // namespace

template <class T>
Status softmax_forward(Stream stream, Index rows, Index columns, const T* x, T* y) {
  return launch_rows(stream, rows, [=] __device__(Index row, Index lane) {
    const T* in = x + row * columns;
    const T top = row_max(in, columns, lane);
    const T sum = row_exp_sum(in, top, columns, lane);
    for (Index i = lane; i < columns; i += 32) y[row * columns + i] = exp(in[i] - top) / sum;
  });
}

// dx = y·(dy - Σ dy·y)
template <class T>
Status softmax_backward(Stream stream, Index rows, Index columns, const T* y, const T* dy, T* dx) {
  return launch_rows(stream, rows, [=] __device__(Index row, Index lane) {
    const Index at = row * columns;
    T dot = 0;
    for (Index i = lane; i < columns; i += 32) dot += dy[at + i] * y[at + i];
    dot = warp_reduce(fn::Add{}, dot);
    for (Index i = lane; i < columns; i += 32) dx[at + i] = y[at + i] * (dy[at + i] - dot);
  });
}

template <class T>
Status log_softmax_forward(Stream stream, Index rows, Index columns, const T* x, T* y) {
  return launch_rows(stream, rows, [=] __device__(Index row, Index lane) {
    const T* in = x + row * columns;
    const T top = row_max(in, columns, lane);
    const T offset = top + log(row_exp_sum(in, top, columns, lane));
    for (Index i = lane; i < columns; i += 32) y[row * columns + i] = in[i] - offset;
  });
}

// dx = dy - softmax·Σ dy, with y the logarithm of the softmax
template <class T>
Status log_softmax_backward(Stream stream, Index rows, Index columns, const T* y, const T* dy, T* dx) {
  return launch_rows(stream, rows, [=] __device__(Index row, Index lane) {
    const Index at = row * columns;
    T sum = 0;
    for (Index i = lane; i < columns; i += 32) sum += dy[at + i];
    sum = warp_reduce(fn::Add{}, sum);
    for (Index i = lane; i < columns; i += 32) dx[at + i] = dy[at + i] - exp(y[at + i]) * sum;
  });
}

// losses = -Σ target·log softmax(x), gradient = scale·(softmax(x)·Σ target - target)
template <class T>
Status cross_entropy(Stream stream, Index rows, Index columns, double scale, const T* x, const T* targets,
                     T* losses, T* gradient) {
  const T factor = static_cast<T>(scale);
  return launch_rows(stream, rows, [=] __device__(Index row, Index lane) {
    const T *in = x + row * columns, *target = targets + row * columns;
    const T top = row_max(in, columns, lane);
    const T sum = row_exp_sum(in, top, columns, lane), offset = top + log(sum);
    T loss = 0, weight = 0;
    for (Index i = lane; i < columns; i += 32) {
      loss -= fn::Weighted{}(in[i] - offset, target[i]);
      weight += target[i];
    }
    loss = warp_reduce(fn::Add{}, loss);
    weight = warp_reduce(fn::Add{}, weight);
    for (Index i = lane; i < columns; i += 32) {
      gradient[row * columns + i] = factor * (exp(in[i] - top) / sum * weight - target[i]);
    }
    if (lane == 0) losses[row] = loss;
  });
}

#define INSTANTIATE(T)                                                            \
  template Status softmax_forward(Stream, Index, Index, const T*, T*);            \
  template Status softmax_backward(Stream, Index, Index, const T*, const T*, T*); \
  template Status log_softmax_forward(Stream, Index, Index, const T*, T*);        \
  template Status log_softmax_backward(Stream, Index, Index, const T*, const T*, T*); \
  template Status cross_entropy(Stream, Index, Index, double, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
