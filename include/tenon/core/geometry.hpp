// The geometry of an operation: what a kernel needs to know of its operands' shapes, as named fields. Both
// backends take these structures; the tensor layer checks shapes and fills them in.
#pragma once

#include <array>

#include "tenon/core/shape.hpp"

namespace tenon {

// Extent after sliding a window of `kernel` taps (spread by `dilation`) over `in` padded elements.
inline Index conv_extent(Index in, Index kernel, Index stride, Index padding, Index dilation) {
  return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

// 2-D convolution: x (n,h,w,c), w (o,kh,kw,c/groups) -> y (n,oh,ow,o).
struct Conv2dGeometry {
  Index n = 0, h = 0, w = 0, c = 0;
  Index o = 0, kh = 0, kw = 0;
  Index oh = 0, ow = 0;
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;
  Index dilation_h = 1, dilation_w = 1;
  Index groups = 1;

  Index group_in() const { return c / groups; }
  Index group_out() const { return o / groups; }
  Index taps() const { return kh * kw * group_in(); }  // products that make one output value
  // One pixel in, one pixel out: a matrix product.
  bool pointwise() const {
    return kh == 1 && kw == 1 && stride_h == 1 && stride_w == 1 && pad_h == 0 && pad_w == 0 && groups == 1;
  }

  friend bool operator==(const Conv2dGeometry&, const Conv2dGeometry&) = default;
};

// Batch normalisation and what follows it: x (rows,c) -> y (rows,c).
struct BatchNormGeometry {
  Index rows = 0, c = 0;
  bool residual = false;  // something of y's shape is added
  bool relu = false;      // and then a rectifier applied
};

// 2-D pooling: x (n,h,w,c) -> y (n,oh,ow,c).
struct Pool2dGeometry {
  Index n = 0, h = 0, w = 0, c = 0;
  Index kh = 0, kw = 0;
  Index oh = 0, ow = 0;
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;

  friend bool operator==(const Pool2dGeometry&, const Pool2dGeometry&) = default;
};

// Resampling and adaptive pooling: x (n,h,w,c) -> y (n,oh,ow,c).
struct ResizeGeometry {
  Index n = 0, h = 0, w = 0, c = 0;
  Index oh = 0, ow = 0;
  bool align_corners = false;  // bilinear only: the corner pixels' centres map onto each other
};

// C (m,n) = alpha·op(A)·op(B) + beta·C, `batch` times; op is the transpose where asked. Matrices are dense and
// row-major; a batch stride of 0 repeats an operand.
struct GemmGeometry {
  Index m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored (k,m)
  bool transpose_b = false;  // B is stored (n,k)
  double alpha = 1, beta = 0;
  Index batch = 1;
  Index stride_a = 0, stride_b = 0, stride_c = 0;  // elements from one matrix of the batch to the next
};

// Reduction of the middle axis: x (outer,n,inner) -> y (outer,inner).
struct ReduceGeometry {
  Index outer = 1, n = 1, inner = 1;
};

// A loop nest over up to eight extents, with one stride an operand and extent (0 repeats an operand).
struct BroadcastGeometry {
  int rank = 0;
  std::array<Index, Shape::max_rank> extent{};
  std::array<Index, Shape::max_rank> stride_a{};
  std::array<Index, Shape::max_rank> stride_b{};
};

// y[y_offset + Σ i·stride_y] = x[x_offset + Σ i·stride_x]: transposes, slices, padding, concatenation.
struct StridedGeometry {
  int rank = 0;
  std::array<Index, Shape::max_rank> extent{};
  std::array<Index, Shape::max_rank> stride_x{};
  std::array<Index, Shape::max_rank> stride_y{};
  Index x_offset = 0, y_offset = 0;
};

// Updates of one parameter: see optim/ for the formulas.
struct SgdStep {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  bool first = false;  // the momentum buffer starts as the gradient
};

struct AdamStep {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double correction1 = 1, correction2 = 1;  // 1 - beta^t
  bool decoupled = false;                   // AdamW: decay the weights, not the gradient
};

// A step with the `n` numbers of a parameter that it works on.
template <class T>
struct SgdUpdate {
  SgdStep step;
  const T* grad;
  T *velocity, *param;  // velocity may be null without momentum
  Index n;
};

template <class T>
struct AdamUpdate {
  AdamStep step;
  const T* grad;
  T *mean, *square, *param;
  Index n;
};

}  // namespace tenon
