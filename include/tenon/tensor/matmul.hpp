// Matrix products of tensors, with PyTorch's rules: the last two dimensions are the matrices, those before are
// a batch and broadcast, and a vector is a row on the left or a column on the right.
#pragma once

#include "tenon/tensor/layout.hpp"

namespace tenon {

// Use an operand's matrices transposed, without copying them.
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
};

namespace detail {

inline Shape batch_shape(const Shape& s) {
  Shape batch;
  for (int d = 0; d + 2 < s.rank(); ++d) batch.push_back(s[d]);
  return batch;
}

inline Shape with_matrix(Shape batch, Index rows, Index columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

}  // namespace detail

// a (…,m,k) · b (…,k,n) -> (…,m,n)
template <class T1, class D1, class T2, class D2>
Tensor<T1, D1> matmul(const Tensor<T1, D1>& a, const Tensor<T2, D2>& b, MatmulOptions options = {}) {
  static_assert(detail::CheckOperands<T1, D1, T2, D2>::ok);
  require<ShapeError>(a.rank() >= 1 && b.rank() >= 1, "matmul: shapes ", a.shape(), " and ", b.shape(),
                      ", expected at least 1 dimension each");
  if (a.rank() == 1) {
    const auto y = matmul(a.reshape({1, a.numel()}), b, options);
    Shape shape = y.shape();
    Shape without;
    for (int d = 0; d < shape.rank(); ++d) {
      if (d != shape.rank() - (b.rank() == 1 ? 1 : 2)) without.push_back(shape[d]);
    }
    return y.reshape(without);
  }
  if (b.rank() == 1) {
    const auto y = matmul(a, b.reshape({b.numel(), 1}), {options.transpose_a, false});
    Shape without;
    for (int d = 0; d + 1 < y.rank(); ++d) without.push_back(y.size(d));
    return y.reshape(without);
  }

  GemmGeometry g;
  g.transpose_a = options.transpose_a;
  g.transpose_b = options.transpose_b;
  g.m = a.size(options.transpose_a ? -1 : -2);
  g.k = a.size(options.transpose_a ? -2 : -1);
  g.n = b.size(options.transpose_b ? -2 : -1);
  const Index k_of_b = b.size(options.transpose_b ? -1 : -2);
  require<ShapeError>(g.k == k_of_b, "matmul: a ", a.shape(), options.transpose_a ? " transposed" : "", " and b ",
                      b.shape(), options.transpose_b ? " transposed" : "", ": inner extents ", g.k, " and ", k_of_b);

  const Shape batch_a = detail::batch_shape(a.shape()), batch_b = detail::batch_shape(b.shape());
  const Shape batch = broadcast_shape(batch_a, batch_b, "matmul");
  // An operand without a batch of its own is reused; one that broadcasts in part is written out.
  const auto fitted = [&](const auto& x, const Shape& own) {
    if (own == batch || own.numel() == 1) return x;
    return broadcast_to(x, detail::with_matrix(batch, x.size(-2), x.size(-1)));
  };
  const auto fa = fitted(a, batch_a), fb = fitted(b, batch_b);
  g.batch = batch.numel();
  g.stride_a = batch_a.numel() == 1 ? 0 : g.m * g.k;
  g.stride_b = batch_b.numel() == 1 ? 0 : g.k * g.n;
  g.stride_c = g.m * g.n;
  Tensor<T1, D1> y(detail::with_matrix(batch, g.m, g.n));
  if (y.numel() > 0) Backend<D1>::gemm(g, fa.data(), fb.data(), y.data());
  return y;
}

}  // namespace tenon
