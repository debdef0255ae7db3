// Differentiable matrix products and the linear layer.
#pragma once

#include "tenon/autograd/arithmetic.hpp"
#include "tenon/tensor/matmul.hpp"

namespace tenon {

// a (…,m,k) · b (…,k,n) -> (…,m,n); vectors as in the tensor version. da = dy·bᵀ, db = aᵀ·dy.
template <class A, class B>
  requires detail::VarOperands<A, B>
auto matmul(const A& left, const B& right) {
  static_assert(detail::CheckVarOperands<A, B>::ok);
  const detail::VarOf<A> a = left;
  const detail::VarOf<A> b = right;
  const auto y = matmul(a.value(), b.value());
  return record(y, {a, b}, [=](const auto& dy) {
    // A vector operand is a matrix with one row (left) or one column (right).
    const bool row = a.rank() == 1, column = b.rank() == 1;
    const auto am = row ? a.value().reshape({1, a.numel()}) : a.value();
    const auto bm = column ? b.value().reshape({b.numel(), 1}) : b.value();
    const Shape batch = broadcast_shape(detail::batch_shape(am.shape()), detail::batch_shape(bm.shape()), "matmul");
    const auto dm = dy.reshape(detail::with_matrix(batch, am.size(-2), bm.size(-1)));
    if (a.requires_grad()) {
      a.accumulate(sum_to(matmul(dm, bm, {.transpose_b = true}), am.shape()).reshape(a.shape()));
    }
    if (b.requires_grad()) {
      b.accumulate(sum_to(matmul(am, dm, {.transpose_a = true}), bm.shape()).reshape(b.shape()));
    }
  });
}

// x (…,in) · weightᵀ + bias, weight (out,in), bias (out) or undefined -> (…,out)
template <class T, class D>
Var<T, D> linear(const Var<T, D>& x, const Var<T, D>& weight, const Var<T, D>& bias) {
  require<ShapeError>(weight.rank() == 2, "linear: weight ", weight.shape(), ", expected (out,in)");
  require<ShapeError>(x.rank() >= 1 && x.size(-1) == weight.size(1), "linear: x ", x.shape(), " has ",
                      x.rank() ? x.size(-1) : 1, " features, weight ", weight.shape(), " expects ", weight.size(1));
  require<ShapeError>(!bias.defined() || bias.shape() == Shape{weight.size(0)}, "linear: bias ",
                      bias.defined() ? bias.shape() : Shape{}, " for weight ", weight.shape());
  Shape shape = x.shape();
  shape.set(x.rank() - 1, weight.size(0));
  const auto rows = x.value().reshape({-1, weight.size(1)});
  auto y = matmul(rows, weight.value(), {.transpose_b = true});
  if (bias.defined()) y = y + bias.value();
  return record(y.reshape(shape), {x, weight, bias}, [=](const Tensor<T, D>& dy) {
    const auto dm = dy.reshape({-1, weight.size(0)});
    if (x.requires_grad()) x.accumulate(matmul(dm, weight.value()).reshape(x.shape()));
    if (weight.requires_grad()) weight.accumulate(matmul(dm, rows, {.transpose_a = true}));
    if (bias.requires_grad()) bias.accumulate(sum(dm, {.axes = {0}}));
  });
}

}  // namespace tenon
