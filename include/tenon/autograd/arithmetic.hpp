// Differentiable arithmetic with broadcasting, and elementary functions. A broadcast operand's gradient is the
// sum over its repetitions.
#pragma once

#include "tenon/autograd/var.hpp"
#include "tenon/tensor/reduce.hpp"

namespace tenon {

namespace detail {

template <class X> struct IsVar : std::false_type {};
template <class T, class D> struct IsVar<Var<T, D>> : std::true_type {};
template <class X> struct IsTensor : std::false_type {};
template <class T, class D> struct IsTensor<Tensor<T, D>> : std::true_type {};

// Two operands of which at least one has a history; the other may be a plain Tensor.
template <class A, class B>
concept VarOperands = (IsVar<A>::value && (IsVar<B>::value || IsTensor<B>::value)) ||
                      (IsTensor<A>::value && IsVar<B>::value);

template <class A, class B>
using CheckVarOperands =
    CheckOperands<typename A::value_type, typename A::device_type, typename B::value_type, typename B::device_type>;

template <class A>
using VarOf = Var<typename A::value_type, typename A::device_type>;

}  // namespace detail

// ---- two operands ----------------------------------------------------------------------------------------

template <class A, class B>
  requires detail::VarOperands<A, B>
auto operator+(const A& left, const B& right) {
  static_assert(detail::CheckVarOperands<A, B>::ok);
  const detail::VarOf<A> a = left;
  const detail::VarOf<A> b = right;
  return record(a.value() + b.value(), {a, b}, [=](const auto& dy) {
    a.accumulate(sum_to(dy, a.shape()));
    b.accumulate(sum_to(dy, b.shape()));
  });
}

template <class A, class B>
  requires detail::VarOperands<A, B>
auto operator-(const A& left, const B& right) {
  static_assert(detail::CheckVarOperands<A, B>::ok);
  const detail::VarOf<A> a = left;
  const detail::VarOf<A> b = right;
  return record(a.value() - b.value(), {a, b}, [=](const auto& dy) {
    a.accumulate(sum_to(dy, a.shape()));
    if (b.requires_grad()) b.accumulate(-sum_to(dy, b.shape()));
  });
}

template <class A, class B>
  requires detail::VarOperands<A, B>
auto operator*(const A& left, const B& right) {
  static_assert(detail::CheckVarOperands<A, B>::ok);
  const detail::VarOf<A> a = left;
  const detail::VarOf<A> b = right;
  return record(a.value() * b.value(), {a, b}, [=](const auto& dy) {
    if (a.requires_grad()) a.accumulate(sum_to(dy * b.value(), a.shape()));
    if (b.requires_grad()) b.accumulate(sum_to(dy * a.value(), b.shape()));
  });
}

template <class A, class B>
  requires detail::VarOperands<A, B>
auto operator/(const A& left, const B& right) {
  static_assert(detail::CheckVarOperands<A, B>::ok);
  const detail::VarOf<A> a = left;
  const detail::VarOf<A> b = right;
  const auto y = a.value() / b.value();
  return record(y, {a, b}, [=](const auto& dy) {
    if (a.requires_grad()) a.accumulate(sum_to(dy / b.value(), a.shape()));
    if (b.requires_grad()) b.accumulate(-sum_to(dy * y / b.value(), b.shape()));
  });
}

// The larger of each pair; a tie shares the gradient equally.
template <class T, class D>
Var<T, D> maximum(const Var<T, D>& a, const Var<T, D>& b) {
  return record(maximum(a.value(), b.value()), {a, b}, [=](const Tensor<T, D>& dy) {
    const auto share = zip(fn::GreaterShare{}, a.value(), b.value(), "maximum");
    a.accumulate(sum_to(dy * share, a.shape()));
    b.accumulate(sum_to(dy * (1 - share), b.shape()));
  });
}

template <class T, class D>
Var<T, D> minimum(const Var<T, D>& a, const Var<T, D>& b) {
  return record(minimum(a.value(), b.value()), {a, b}, [=](const Tensor<T, D>& dy) {
    const auto share = zip(fn::GreaterShare{}, b.value(), a.value(), "minimum");
    a.accumulate(sum_to(dy * share, a.shape()));
    b.accumulate(sum_to(dy * (1 - share), b.shape()));
  });
}

// ---- a Var and a number ----------------------------------------------------------------------------------

template <class T, class D, Number N> Var<T, D> operator+(const Var<T, D>& x, N c) {
  return record(x.value() + c, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy); });
}
template <class T, class D, Number N> Var<T, D> operator+(N c, const Var<T, D>& x) { return x + c; }
template <class T, class D, Number N> Var<T, D> operator-(const Var<T, D>& x, N c) {
  return record(x.value() - c, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy); });
}
template <class T, class D, Number N> Var<T, D> operator-(N c, const Var<T, D>& x) {
  return record(c - x.value(), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(-dy); });
}
template <class T, class D, Number N> Var<T, D> operator*(const Var<T, D>& x, N c) {
  return record(x.value() * c, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * c); });
}
template <class T, class D, Number N> Var<T, D> operator*(N c, const Var<T, D>& x) { return x * c; }
template <class T, class D, Number N> Var<T, D> operator/(const Var<T, D>& x, N c) {
  return record(x.value() / c, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy / c); });
}
template <class T, class D, Number N> Var<T, D> operator/(N c, const Var<T, D>& x) {
  const auto y = c / x.value();
  return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(-(dy * y / x.value())); });
}

// ---- one operand -----------------------------------------------------------------------------------------

template <class T, class D> Var<T, D> operator-(const Var<T, D>& x) {
  return record(-x.value(), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(-dy); });
}
template <class T, class D> Var<T, D> abs(const Var<T, D>& x) {  // slope 0 at 0
  return record(abs(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * sign(x.value())); });
}
template <class T, class D> Var<T, D> square(const Var<T, D>& x) {
  return record(square(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * x.value() * 2); });
}
template <class T, class D> Var<T, D> sqrt(const Var<T, D>& x) {
  const auto y = sqrt(x.value());
  return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy / (y * 2)); });
}
template <class T, class D> Var<T, D> exp(const Var<T, D>& x) {
  const auto y = exp(x.value());
  return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * y); });
}
template <class T, class D> Var<T, D> log(const Var<T, D>& x) {
  return record(log(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy / x.value()); });
}
template <class T, class D> Var<T, D> sin(const Var<T, D>& x) {
  return record(sin(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * cos(x.value())); });
}
template <class T, class D> Var<T, D> cos(const Var<T, D>& x) {
  return record(cos(x.value()), {x}, [=](const Tensor<T, D>& dy) { x.accumulate(-(dy * sin(x.value()))); });
}
template <class T, class D> Var<T, D> pow(const Var<T, D>& x, double exponent) {
  return record(pow(x.value(), exponent), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(dy * pow(x.value(), exponent - 1) * exponent);
  });
}
// Passes the gradient where low <= x <= high.
template <class T, class D> Var<T, D> clamp(const Var<T, D>& x, double low, double high) {
  return record(clamp(x.value(), low, high), {x}, [=](const Tensor<T, D>& dy) {
    x.accumulate(zip(fn::ClampGrad{low, high}, dy, x.value(), "clamp"));
  });
}
// Another scalar type; the gradient comes back in x's own.
template <class U, class T, class D> Var<U, D> cast(const Var<T, D>& x) {
  Var<U, D> y(x.value().template cast<U>(), {.requires_grad = x.requires_grad() && grad_enabled()});
  if (!y.requires_grad()) return y;
  auto& node = *y.node_pointer();
  node.parents.push_back(x.node_pointer());
  node.step = [self = &node, x] { x.accumulate(self->grad.template cast<T>()); };
  return y;
}

}  // namespace tenon
