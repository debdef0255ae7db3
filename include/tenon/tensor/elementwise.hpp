// Elementwise mathematics on tensors, with broadcasting: dimensions are matched from the last, and an extent of
// 1 (or a missing dimension) is repeated, as in NumPy and PyTorch.
#pragma once

#include <string_view>

#include "tenon/core/functors.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

// The shape that a and b broadcast to; `op` opens the message if they do not fit.
inline Shape broadcast_shape(const Shape& a, const Shape& b, std::string_view op) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out;
  for (int d = 0; d < rank; ++d) {
    const int da = d - (rank - a.rank()), db = d - (rank - b.rank());
    const Index ea = da < 0 ? 1 : a[da], eb = db < 0 ? 1 : b[db];
    require<ShapeError>(ea == eb || ea == 1 || eb == 1, op, ": shapes ", a, " and ", b,
                        " do not broadcast: ", ea, " against ", eb);
    out.push_back(ea == 1 ? eb : ea);
  }
  return out;
}

namespace detail {

// Strides of `shape` inside the broadcast shape `out`: 0 where it is repeated.
inline std::array<Index, Shape::max_rank> broadcast_strides(const Shape& shape, const Shape& out) {
  std::array<Index, Shape::max_rank> strides{};
  Index stride = 1;
  for (int d = out.rank() - 1, s = shape.rank() - 1; s >= 0; --d, --s) {
    strides[static_cast<std::size_t>(d)] = shape[s] == 1 ? 0 : stride;
    stride *= shape[s];
  }
  return strides;
}

// The loop nest of a broadcast, with neighbouring dimensions joined where both operands allow it.
inline BroadcastGeometry broadcast_geometry(const Shape& a, const Shape& b, const Shape& out) {
  const auto sa = broadcast_strides(a, out), sb = broadcast_strides(b, out);
  BroadcastGeometry g;
  for (int d = 0; d < out.rank(); ++d) {
    const auto at = static_cast<std::size_t>(d);
    if (out[d] == 1) continue;
    if (g.rank > 0) {
      const auto last = static_cast<std::size_t>(g.rank - 1);
      if (g.stride_a[last] == out[d] * sa[at] && g.stride_b[last] == out[d] * sb[at]) {
        g.extent[last] *= out[d];
        g.stride_a[last] = sa[at];
        g.stride_b[last] = sb[at];
        continue;
      }
    }
    const auto next = static_cast<std::size_t>(g.rank++);
    g.extent[next] = out[d];
    g.stride_a[next] = sa[at];
    g.stride_b[next] = sb[at];
  }
  if (g.rank == 0) {
    g.rank = 1;
    g.extent[0] = 1;
  }
  return g;
}

// A class, so that naming it reports the mistake before anything that follows from it.
template <class T1, class D1, class T2, class D2>
struct CheckOperands {
  static_assert(std::same_as<D1, D2>, "tenon: the operands are on different devices; move one with .to<Device>()");
  static_assert(std::same_as<T1, T2>, "tenon: the operands have different scalar types; convert one with .cast<T>()");
  static constexpr bool ok = true;
};

}  // namespace detail

// op(x) for every element.
template <class Op, class T, class D>
Tensor<T, D> map(Op op, const Tensor<T, D>& x) {
  Tensor<T, D> y(x.shape());
  Backend<D>::map(op, x.data(), y.data(), y.numel());
  return y;
}

// op(a, b) for every pair; `name` opens the message if the shapes do not broadcast.
template <class Op, class T, class D>
Tensor<T, D> zip(Op op, const Tensor<T, D>& a, const Tensor<T, D>& b, std::string_view name) {
  if (a.shape() == b.shape()) {
    Tensor<T, D> y(a.shape());
    Backend<D>::zip(op, a.data(), b.data(), y.data(), y.numel());
    return y;
  }
  const Shape shape = broadcast_shape(a.shape(), b.shape(), name);
  Tensor<T, D> y(shape);
  if (y.numel() > 0) {
    Backend<D>::zip(op, detail::broadcast_geometry(a.shape(), b.shape(), shape), a.data(), b.data(), y.data());
  }
  return y;
}

// x = op(x, y) in place, same shapes.
template <class Op, class T, class D>
void zip_(Op op, Tensor<T, D>& x, const Tensor<T, D>& y, std::string_view name) {
  require<ShapeError>(x.shape() == y.shape(), name, ": shapes ", x.shape(), " and ", y.shape(), " differ");
  Backend<D>::zip(op, x.data(), y.data(), x.data(), x.numel());
}

// ---- two tensors -----------------------------------------------------------------------------------------

template <class T1, class D1, class T2, class D2>
Tensor<T1, D1> operator+(const Tensor<T1, D1>& a, const Tensor<T2, D2>& b) {
  static_assert(detail::CheckOperands<T1, D1, T2, D2>::ok);
  return zip(fn::Add{}, a, b, "add");
}
template <class T1, class D1, class T2, class D2>
Tensor<T1, D1> operator-(const Tensor<T1, D1>& a, const Tensor<T2, D2>& b) {
  static_assert(detail::CheckOperands<T1, D1, T2, D2>::ok);
  return zip(fn::Sub{}, a, b, "subtract");
}
template <class T1, class D1, class T2, class D2>
Tensor<T1, D1> operator*(const Tensor<T1, D1>& a, const Tensor<T2, D2>& b) {
  static_assert(detail::CheckOperands<T1, D1, T2, D2>::ok);
  return zip(fn::Mul{}, a, b, "multiply");
}
template <class T1, class D1, class T2, class D2>
Tensor<T1, D1> operator/(const Tensor<T1, D1>& a, const Tensor<T2, D2>& b) {
  static_assert(detail::CheckOperands<T1, D1, T2, D2>::ok);
  return zip(fn::Div{}, a, b, "divide");
}

template <class T, class D> Tensor<T, D> maximum(const Tensor<T, D>& a, const Tensor<T, D>& b) {
  return zip(fn::Maximum{}, a, b, "maximum");
}
template <class T, class D> Tensor<T, D> minimum(const Tensor<T, D>& a, const Tensor<T, D>& b) {
  return zip(fn::Minimum{}, a, b, "minimum");
}

// 1 where the comparison holds, 0 elsewhere.
template <class T, class D> Tensor<T, D> greater(const Tensor<T, D>& a, const Tensor<T, D>& b) {
  return zip(fn::Greater{}, a, b, "greater");
}
template <class T, class D> Tensor<T, D> less(const Tensor<T, D>& a, const Tensor<T, D>& b) {
  return zip(fn::Less{}, a, b, "less");
}
template <class T, class D> Tensor<T, D> equal(const Tensor<T, D>& a, const Tensor<T, D>& b) {
  return zip(fn::Equal{}, a, b, "equal");
}

// ---- a tensor and a number -------------------------------------------------------------------------------

template <class N>
concept Number = std::integral<N> || std::floating_point<N>;

template <class T, class D, Number N> Tensor<T, D> operator+(const Tensor<T, D>& x, N c) {
  return map(fn::AddScalar{static_cast<double>(c)}, x);
}
template <class T, class D, Number N> Tensor<T, D> operator+(N c, const Tensor<T, D>& x) { return x + c; }
template <class T, class D, Number N> Tensor<T, D> operator-(const Tensor<T, D>& x, N c) {
  return map(fn::AddScalar{-static_cast<double>(c)}, x);
}
template <class T, class D, Number N> Tensor<T, D> operator-(N c, const Tensor<T, D>& x) {
  return map(fn::SubtractFrom{static_cast<double>(c)}, x);
}
template <class T, class D, Number N> Tensor<T, D> operator*(const Tensor<T, D>& x, N c) {
  return map(fn::MulScalar{static_cast<double>(c)}, x);
}
template <class T, class D, Number N> Tensor<T, D> operator*(N c, const Tensor<T, D>& x) { return x * c; }
template <class T, class D, Number N> Tensor<T, D> operator/(const Tensor<T, D>& x, N c) {
  return map(fn::DivScalar{static_cast<double>(c)}, x);
}
template <class T, class D, Number N> Tensor<T, D> operator/(N c, const Tensor<T, D>& x) {
  return map(fn::DivideInto{static_cast<double>(c)}, x);
}

// ---- one tensor ------------------------------------------------------------------------------------------

template <class T, class D> Tensor<T, D> operator-(const Tensor<T, D>& x) { return map(fn::Neg{}, x); }
template <class T, class D> Tensor<T, D> abs(const Tensor<T, D>& x) { return map(fn::Abs{}, x); }
template <class T, class D> Tensor<T, D> sign(const Tensor<T, D>& x) { return map(fn::Sign{}, x); }
template <class T, class D> Tensor<T, D> square(const Tensor<T, D>& x) { return map(fn::Square{}, x); }
template <class T, class D> Tensor<T, D> sqrt(const Tensor<T, D>& x) { return map(fn::Sqrt{}, x); }
template <class T, class D> Tensor<T, D> exp(const Tensor<T, D>& x) { return map(fn::Exp{}, x); }
template <class T, class D> Tensor<T, D> log(const Tensor<T, D>& x) { return map(fn::Log{}, x); }
template <class T, class D> Tensor<T, D> sin(const Tensor<T, D>& x) { return map(fn::Sin{}, x); }
template <class T, class D> Tensor<T, D> cos(const Tensor<T, D>& x) { return map(fn::Cos{}, x); }
template <class T, class D> Tensor<T, D> tanh(const Tensor<T, D>& x) { return map(fn::Tanh{}, x); }
template <class T, class D> Tensor<T, D> sigmoid(const Tensor<T, D>& x) { return map(fn::Sigmoid{}, x); }
template <class T, class D> Tensor<T, D> relu(const Tensor<T, D>& x) { return map(fn::Relu{}, x); }
template <class T, class D> Tensor<T, D> softplus(const Tensor<T, D>& x) { return map(fn::Softplus{}, x); }
template <class T, class D> Tensor<T, D> pow(const Tensor<T, D>& x, double exponent) {
  return map(fn::PowScalar{exponent}, x);
}
template <class T, class D> Tensor<T, D> clamp(const Tensor<T, D>& x, double low, double high) {
  return map(fn::Clamp{low, high}, x);
}

}  // namespace tenon
