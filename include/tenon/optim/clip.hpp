// Gradient clipping, between backward() and step(): by the norm of all gradients together (Pascanu et al.
// 2013) or element by element.
#pragma once

#include <cmath>
#include <vector>

#include "tenon/autograd/var.hpp"
#include "tenon/tensor/layout.hpp"
#include "tenon/tensor/reduce.hpp"

namespace tenon {

// The L2 norm of all gradients as one vector; parameters without a gradient count as zero.
template <class T, class D>
double grad_norm(const std::vector<Var<T, D>>& params) {
  using W = Wide<T>;
  std::vector<Tensor<W, D>> squares;
  for (const auto& p : params) {
    if (!p.grad().defined()) continue;
    squares.push_back(sum(square(p.grad().template cast<W>())).reshape({1}));
  }
  if (squares.empty()) return 0;
  double total = 0;
  for (const W s : concat(squares).to_vector()) total += static_cast<double>(s);
  return std::sqrt(total);
}

// Scales the gradients so that their norm is at most max_norm, and returns the norm they had. A norm that is
// not finite leaves them untouched: the caller sees it in the result and decides, usually to skip the step.
template <class T, class D>
double clip_grad_norm(const std::vector<Var<T, D>>& params, double max_norm) {
  require<ValueError>(max_norm >= 0, "clip_grad_norm: max_norm is ", max_norm, ", expected at least 0");
  const double norm = grad_norm(params);
  const double scale = max_norm / (norm + 1e-6);  // PyTorch's guard against a zero norm
  if (!std::isfinite(norm) || scale >= 1) return norm;
  for (Var<T, D> p : params) {
    if (p.grad().defined()) p.set_grad(p.grad() * scale);
  }
  return norm;
}

// Limits every element to -limit … limit.
template <class T, class D>
void clip_grad_value(const std::vector<Var<T, D>>& params, double limit) {
  require<ValueError>(limit >= 0, "clip_grad_value: limit is ", limit, ", expected at least 0");
  for (Var<T, D> p : params) {
    if (p.grad().defined()) p.set_grad(clamp(p.grad(), -limit, limit));
  }
}

}  // namespace tenon
