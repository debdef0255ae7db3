// The kernels of kernels/*.cu as plain C++ functions: what the library tenon::cuda holds. Each launches on
// the given stream and returns at once with a cudaError_t as an int (0 is success).
//
// The templates are instantiated in the .cu files for the functors of kernels/functors.cuh and the types
// named there; another functor is an undefined reference when the program is linked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tenon/core/geometry.hpp"
#include "tenon/core/random.hpp"
#include "tenon/core/scalar.hpp"

struct CUstream_st;  // the runtime's cudaStream_t points to one

namespace tenon::cuda::kernels {

using Stream = ::CUstream_st*;
using Status = int;

// ---- elementwise: kernels/map.cu, zip.cu, movement.cu
template <class T>
Status fill(Stream stream, T* y, Index n, T value);
template <class Op, class T>
Status map(Stream stream, Op op, const T* x, T* y, Index n);
template <class Op, class T>
Status zip(Stream stream, Op op, const T* a, const T* b, T* y, Index n);
template <class Op, class T>
Status zip_broadcast(Stream stream, Op op, const BroadcastGeometry& g, const T* a, const T* b, T* y);
template <class From, class To>
Status convert(Stream stream, const From* x, To* y, Index n);
template <class T>
Status copy_strided(Stream stream, const StridedGeometry& g, const T* x, T* y);

// ---- random numbers: kernels/random.cu
template <class T>
Status random_uniform(Stream stream, const RngState& rng, std::uint64_t first_block, double low, double high,
                      T* y, Index n);
template <class T>
Status random_bernoulli(Stream stream, const RngState& rng, std::uint64_t first_block, double probability,
                        double value, T* y, Index n);

// ---- sums over rows: kernels/reduce.cu, batchnorm.cu
// A block of 256 threads covers `columns` neighbouring values of the inner extent and 256 / columns rows.
// Each piece of a long reduction goes to one block, and a second kernel combines the pieces: cut by shape
// alone.
struct ReducePlan {
  static constexpr Index threads = 256, most_pieces = 1024;
  Index columns = 1, piece = 1, pieces = 1;  // `piece` rows of n go to each of `pieces` blocks

  static ReducePlan of(Index n, Index inner) {
    ReducePlan p;
    while (p.columns < 32 && p.columns < inner) p.columns *= 2;
    const Index rows = threads / p.columns;
    const Index least = 32 * rows, shared = (n + most_pieces - 1) / most_pieces;
    p.piece = std::max(least, (shared + rows - 1) / rows * rows);
    p.pieces = std::max<Index>(1, (n + p.piece - 1) / p.piece);
    return p;
  }
};

// `partial` has room for outer·pieces·inner values; it is not used when there is one piece.
template <class Op, class T>
Status reduce(Stream stream, Op op, const ReduceGeometry& g, const ReducePlan& plan, const T* x,
              Wide<T>* partial, T* y);
template <class T>
Status argmax(Stream stream, const ReduceGeometry& g, const T* x, std::int64_t* y);

// `partial` has room for pieces·2·c values of ReducePlan::of(rows, c), and `coefficients` for 3·c.
template <class T>
Status batch_norm_statistics(Stream stream, Index rows, Index c, const T* x, T* partial, T* mean,
                             T* variance);
template <class T>
Status batch_norm_inv_std(Stream stream, Index c, double eps, const T* variance, T* inv_std);
template <class T>
Status batch_norm_variance(Stream stream, Index c, double eps, const T* inv_std, T* variance);
template <class T>
Status batch_norm_apply(Stream stream, const BatchNormGeometry& g, const T* x, const T* mean,
                        const T* inv_std, const T* gamma, const T* beta, const T* residual, T* y);
template <class T>
Status batch_norm_backward(Stream stream, Index rows, Index c, const T* x, const T* dy, const T* mean,
                           const T* inv_std, const T* gamma, T* partial, T* coefficients, T* dx, T* dgamma,
                           T* dbeta);

// ---- plain convolution, for the types and shapes that cuDNN does not take: kernels/conv.cu
template <class T>
Status conv2d_forward(Stream stream, const Conv2dGeometry& g, const T* x, const T* w, T* y);
template <class T>
Status conv2d_backward_data(Stream stream, const Conv2dGeometry& g, const T* dy, const T* w, T* dx);
template <class T>
Status conv2d_backward_weights(Stream stream, const Conv2dGeometry& g, const T* x, const T* dy, T* dw);

// ---- pooling and resampling: kernels/pool.cu, resize.cu
template <class T, class I>
Status max_pool_forward(Stream stream, const Pool2dGeometry& g, const T* x, T* y, I* index);
template <class T, class I>
Status max_pool_backward(Stream stream, const Pool2dGeometry& g, const T* dy, const I* index, T* dx);
template <class T>
Status avg_pool_forward(Stream stream, const Pool2dGeometry& g, const T* x, T* y);
template <class T>
Status avg_pool_backward(Stream stream, const Pool2dGeometry& g, const T* dy, T* dx);
template <class T>
Status adaptive_avg_pool_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y);
template <class T>
Status adaptive_avg_pool_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx);
template <class T>
Status upsample_nearest_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y);
template <class T>
Status upsample_nearest_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx);
template <class T>
Status upsample_bilinear_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y);
template <class T>
Status upsample_bilinear_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx);

// ---- softmax over rows (rows, columns): kernels/softmax.cu
template <class T>
Status softmax_forward(Stream stream, Index rows, Index columns, const T* x, T* y);
template <class T>
Status softmax_backward(Stream stream, Index rows, Index columns, const T* y, const T* dy, T* dx);
template <class T>
Status log_softmax_forward(Stream stream, Index rows, Index columns, const T* x, T* y);
template <class T>
Status log_softmax_backward(Stream stream, Index rows, Index columns, const T* y, const T* dy, T* dx);
template <class T>
Status cross_entropy(Stream stream, Index rows, Index columns, double scale, const T* x, const T* targets,
                     T* losses, T* gradient);

// ---- optimiser updates: kernels/update.cu
template <class T>
Status sgd_update(Stream stream, const SgdStep& s, const T* grad, T* velocity, T* param, Index n);
template <class T>
Status adam_update(Stream stream, const AdamStep& s, const T* grad, T* mean, T* square, T* param, Index n);

}  // namespace tenon::cuda::kernels
