// Batch normalisation over the rows of x (rows, c): statistics, application and gradient (Ioffe & Szegedy
// 2015).
//
// Sums over rows have two stages. Each piece of rows goes to blocks that add in T; a warp a channel then adds
// the pieces in double. Both orders are fixed by the shape, so results repeat bit for bit.
#include "launch.cuh"
#include "tenon/core/functors.hpp"

namespace tenon::cuda::kernels {

namespace {

// partial[(piece·2 + s)·c + channel] = Σ of term(row, channel)'s first (s = 0) and second value over a piece.
template <class T>
struct Pair {
  T first, second;
};

template <class T, class Term>
__global__ void __launch_bounds__(block_threads)
    sum_pieces(Index rows, Index c, ReducePlan plan, Term term, T* partial) {
  __shared__ T shared[block_threads];
  const int columns = static_cast<int>(plan.columns), block_rows = block_threads / columns;
  const int row = static_cast<int>(threadIdx.x) / columns, column = static_cast<int>(threadIdx.x) % columns;
  const Index tiles = (c + columns - 1) / columns;
  for (Index job = blockIdx.x; job < tiles * plan.pieces; job += gridDim.x) {
    const Index piece = job % plan.pieces, channel = job / plan.pieces * columns + column;
    const Index last = min((piece + 1) * plan.piece, rows);
    T first = 0, second = 0;
    if (channel < c) {
      for (Index r = piece * plan.piece + row; r < last; r += block_rows) {
        const Pair<T> value = term(r, channel);
        first += value.first;
        second += value.second;
      }
    }
    first = column_reduce(fn::Add{}, first, columns, shared);
    second = column_reduce(fn::Add{}, second, columns, shared);
    if (row == 0 && channel < c) {
      partial[(piece * 2 + 0) * c + channel] = first;
      partial[(piece * 2 + 1) * c + channel] = second;
    }
  }
}

// Calls write(channel, first total, second total).
template <class T, class Write>
__global__ void __launch_bounds__(block_threads)
    finish_sums(Index c, Index pieces, const T* partial, Write write) {
  const Index lane = static_cast<Index>(threadIdx.x) % 32;
  constexpr Index warps = block_threads / 32;
  for (Index channel = blockIdx.x * warps + threadIdx.x / 32; channel < c; channel += gridDim.x * warps) {
    double first = 0, second = 0;
    for (Index p = lane; p < pieces; p += 32) {
      first += static_cast<double>(partial[(p * 2 + 0) * c + channel]);
      second += static_cast<double>(partial[(p * 2 + 1) * c + channel]);
    }
    first = warp_reduce(fn::Add{}, first);
    second = warp_reduce(fn::Add{}, second);
    if (lane == 0) write(channel, first, second);
  }
}

template <class T, class Term, class Write>
Status column_sums(Stream stream, Index rows, Index c, T* partial, const Term& term, const Write& write) {
  if (c <= 0) return cudaSuccess;
  const ReducePlan plan = ReducePlan::of(rows, c);
  const Index tiles = (c + plan.columns - 1) / plan.columns;
  sum_pieces<<<blocks_for(tiles * plan.pieces), block_threads, 0, stream>>>(rows, c, plan, term, partial);
  if (const Status status = cudaGetLastError()) return status;
  constexpr Index warps = block_threads / 32;
  finish_sums<<<blocks_for((c + warps - 1) / warps), block_threads, 0, stream>>>(
      c, plan.pieces, static_cast<const T*>(partial), write);
  return cudaGetLastError();
}

}  // namespace

template <class T>
Status batch_norm_statistics(Stream stream, Index rows, Index c, const T* x, T* partial, T* mean,
                             T* variance) {
  const double n = static_cast<double>(rows);
  const auto value = [=] __device__(Index r, Index i) { return Pair<T>{x[r * c + i], T(0)}; };
  const auto write_mean = [=] __device__(Index i, double sum, double) { mean[i] = static_cast<T>(sum / n); };
  if (const Status status = column_sums(stream, rows, c, partial, value, write_mean)) return status;
  const auto square = [=] __device__(Index r, Index i) {
    const T d = x[r * c + i] - mean[i];
    return Pair<T>{d * d, T(0)};
  };
  const auto write_variance = [=] __device__(Index i, double sum, double) {
    variance[i] = static_cast<T>(sum / n);
  };
  return column_sums(stream, rows, c, partial, square, write_variance);
}

template <class T>
Status batch_norm_inv_std(Stream stream, Index c, double eps, const T* variance, T* inv_std) {
  return launch_each(stream, c, [=] __device__(Index i) {
    inv_std[i] = static_cast<T>(1 / sqrt(static_cast<double>(variance[i]) + eps));
  });
}

template <class T>
Status batch_norm_variance(Stream stream, Index c, double eps, const T* inv_std, T* variance) {
  return launch_each(stream, c, [=] __device__(Index i) {
    const double inv = static_cast<double>(inv_std[i]), value = 1 / (inv * inv) - eps;
    variance[i] = static_cast<T>(value < 0 ? 0 : value);
  });
}

template <class T>
Status batch_norm_apply(Stream stream, const BatchNormGeometry& g, const T* x, const T* mean,
                        const T* inv_std, const T* gamma, const T* beta, const T* residual, T* y) {
  return launch_each(stream, g.rows * g.c, [=] __device__(Index at) {
    const Index i = at % g.c;
    const T scale = gamma[i] * inv_std[i];
    T value = (x[at] - mean[i]) * scale + beta[i];
    if (g.residual) value += residual[at];
    y[at] = g.relu ? fn::Relu{}(value) : value;
  });
}

// dbeta = Σ dy, dgamma = Σ dy·x̂, dx = gamma·inv_std·(dy - dbeta/n - x̂·dgamma/n),  x̂ = (x - mean)·inv_std.
template <class T>
Status batch_norm_backward(Stream stream, Index rows, Index c, const T* x, const T* dy, const T* mean,
                           const T* inv_std, const T* gamma, T* partial, T* coefficients, T* dx, T* dgamma,
                           T* dbeta) {
  const double n = static_cast<double>(rows);
  const auto products = [=] __device__(Index r, Index i) {
    const T grad = dy[r * c + i];
    return Pair<T>{grad, grad * (x[r * c + i] - mean[i])};
  };
  // dx = a·dy + b·(x - mean) + k, one a, b and k a channel.
  const auto write = [=] __device__(Index i, double sum_dy, double sum_dy_centred) {
    const double inv = static_cast<double>(inv_std[i]), scale = static_cast<double>(gamma[i]) * inv;
    dbeta[i] = static_cast<T>(sum_dy);
    dgamma[i] = static_cast<T>(sum_dy_centred * inv);
    coefficients[i] = static_cast<T>(scale);
    coefficients[c + i] = static_cast<T>(-scale * inv * inv * sum_dy_centred / n);
    coefficients[2 * c + i] = static_cast<T>(-scale * sum_dy / n);
  };
  if (const Status status = column_sums(stream, rows, c, partial, products, write)) return status;
  return launch_each(stream, rows * c, [=] __device__(Index at) {
    const Index i = at % c;
    dx[at] = coefficients[i] * dy[at] + coefficients[c + i] * (x[at] - mean[i]) + coefficients[2 * c + i];
  });
}

#define INSTANTIATE(T)                                                                                     \
  template Status batch_norm_statistics(Stream, Index, Index, const T*, T*, T*, T*);                       \
  template Status batch_norm_inv_std(Stream, Index, double, const T*, T*);                                 \
  template Status batch_norm_variance(Stream, Index, double, const T*, T*);                                \
  template Status batch_norm_apply(Stream, const BatchNormGeometry&, const T*, const T*, const T*,         \
                                   const T*, const T*, const T*, T*);                                      \
  template Status batch_norm_backward(Stream, Index, Index, const T*, const T*, const T*, const T*,        \
                                      const T*, T*, T*, T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
