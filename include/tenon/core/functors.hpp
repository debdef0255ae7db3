// The scalar functions that elementwise kernels apply, as named types: a CPU loop inlines them, and the CUDA
// kernels are instantiated for exactly these names. constexpr, so that device code may call them.
//
// For a 16-bit T the kernels convert to float first; a functor only sees float, double or integers.
#pragma once

#include <cmath>
#include <limits>
#include <numbers>

namespace tenon::fn {

// ---- one argument --------------------------------------------------------------------------------------

struct Neg { template <class T> constexpr T operator()(T x) const { return -x; } };
struct Abs { template <class T> constexpr T operator()(T x) const { return x < T(0) ? -x : x; } };
struct Sign { template <class T> constexpr T operator()(T x) const { return T((x > T(0)) - (x < T(0))); } };
struct Square { template <class T> constexpr T operator()(T x) const { return x * x; } };
struct Reciprocal { template <class T> constexpr T operator()(T x) const { return T(1) / x; } };
struct Sqrt { template <class T> constexpr T operator()(T x) const { return std::sqrt(x); } };
struct Exp { template <class T> constexpr T operator()(T x) const { return std::exp(x); } };
struct Log { template <class T> constexpr T operator()(T x) const { return std::log(x); } };
struct Sin { template <class T> constexpr T operator()(T x) const { return std::sin(x); } };
struct Cos { template <class T> constexpr T operator()(T x) const { return std::cos(x); } };
struct Tanh { template <class T> constexpr T operator()(T x) const { return std::tanh(x); } };

// log(1 + e^x) without overflow.
struct Softplus {
  template <class T>
  constexpr T operator()(T x) const { return (x > T(0) ? x : T(0)) + std::log1p(std::exp(x > T(0) ? -x : x)); }
};

struct Sigmoid {
  template <class T>
  constexpr T operator()(T x) const { return T(1) / (T(1) + std::exp(-x)); }
};

// NaN passes through: max(x, 0) written so that a NaN stays one.
struct Relu { template <class T> constexpr T operator()(T x) const { return x < T(0) ? T(0) : x; } };

struct LeakyRelu {
  double slope = 0.01;
  template <class T>
  constexpr T operator()(T x) const { return x < T(0) ? T(slope) * x : x; }
};

// x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016).
struct Gelu {
  template <class T>
  constexpr T operator()(T x) const { return x * T(0.5) * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2))); }
};

// The same paper's approximation 0.5·x·(1 + tanh(√(2/π)(x + 0.044715·x³))).
struct GeluTanh {
  template <class T>
  constexpr T operator()(T x) const {
    const T inner = T(0.79788456080286535588) * (x + T(0.044715) * x * x * x);
    return T(0.5) * x * (T(1) + std::tanh(inner));
  }
};

struct Silu {
  template <class T>
  constexpr T operator()(T x) const { return x / (T(1) + std::exp(-x)); }
};

struct AddScalar { double c; template <class T> constexpr T operator()(T x) const { return x + T(c); } };
struct MulScalar { double c; template <class T> constexpr T operator()(T x) const { return x * T(c); } };
struct DivScalar { double c; template <class T> constexpr T operator()(T x) const { return x / T(c); } };
struct SubtractFrom { double c; template <class T> constexpr T operator()(T x) const { return T(c) - x; } };
struct DivideInto { double c; template <class T> constexpr T operator()(T x) const { return T(c) / x; } };
struct PowScalar { double c; template <class T> constexpr T operator()(T x) const { return std::pow(x, T(c)); } };

struct Clamp {
  double low, high;
  template <class T>
  constexpr T operator()(T x) const { return x < T(low) ? T(low) : x > T(high) ? T(high) : x; }
};

// ---- two arguments -------------------------------------------------------------------------------------

struct Add { template <class T> constexpr T operator()(T a, T b) const { return a + b; } };
struct Sub { template <class T> constexpr T operator()(T a, T b) const { return a - b; } };
struct Mul { template <class T> constexpr T operator()(T a, T b) const { return a * b; } };
struct Div { template <class T> constexpr T operator()(T a, T b) const { return a / b; } };

// The larger and the smaller; a NaN on either side wins, as in PyTorch.
struct Maximum { template <class T> constexpr T operator()(T a, T b) const { return (a > b || a != a) ? a : b; } };
struct Minimum { template <class T> constexpr T operator()(T a, T b) const { return (a < b || a != a) ? a : b; } };

// x·weight, and 0 where the weight is 0 whatever x is: 0·log 0 = 0, as entropies have it.
struct Weighted {
  template <class T>
  constexpr T operator()(T x, T weight) const { return weight == T(0) ? T(0) : x * weight; }
};

// Comparisons give 1 or 0 in the type of the arguments.
struct Greater { template <class T> constexpr T operator()(T a, T b) const { return T(a > b); } };
struct Less { template <class T> constexpr T operator()(T a, T b) const { return T(a < b); } };
struct Equal { template <class T> constexpr T operator()(T a, T b) const { return T(a == b); } };

// ---- derivatives: the incoming gradient dy first, then what the forward pass saved ----------------------

// The shares of a and b in the gradient of max(a, b), given 1 where a > b and 0.5 at a tie.
struct GreaterShare {
  template <class T>
  constexpr T operator()(T a, T b) const { return a > b ? T(1) : a == b ? T(0.5) : T(0); }
};

struct ReluGrad { template <class T> constexpr T operator()(T dy, T y) const { return y > T(0) ? dy : T(0); } };
struct LeakyReluGrad {
  double slope = 0.01;
  template <class T>
  constexpr T operator()(T dy, T x) const { return x < T(0) ? T(slope) * dy : dy; }
};
struct SigmoidGrad { template <class T> constexpr T operator()(T dy, T y) const { return dy * y * (T(1) - y); } };
struct TanhGrad { template <class T> constexpr T operator()(T dy, T y) const { return dy * (T(1) - y * y); } };
struct ClampGrad {
  double low, high;
  template <class T>
  constexpr T operator()(T dy, T x) const { return x >= T(low) && x <= T(high) ? dy : T(0); }
};
struct GeluGrad {
  template <class T>
  constexpr T operator()(T dy, T x) const {
    const T cdf = T(0.5) * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2)));
    const T density = T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
    return dy * (cdf + x * density);
  }
};
struct GeluTanhGrad {
  template <class T>
  constexpr T operator()(T dy, T x) const {
    const T t = std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x));
    const T slope = T(0.79788456080286535588) * (T(1) + T(3 * 0.044715) * x * x);
    return dy * (T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * slope);
  }
};
struct SiluGrad {
  template <class T>
  constexpr T operator()(T dy, T x) const {
    const T s = T(1) / (T(1) + std::exp(-x));
    return dy * (s + x * s * (T(1) - s));
  }
};

// ---- reductions: a start value and a way to combine ----------------------------------------------------

struct Sum {
  template <class T> static constexpr T start() { return T(0); }
  template <class T> constexpr T operator()(T a, T b) const { return a + b; }
};
struct Max {
  template <class T> static constexpr T start() {
    if constexpr (std::numeric_limits<T>::has_infinity) return -std::numeric_limits<T>::infinity();
    else return std::numeric_limits<T>::lowest();
  }
  template <class T> constexpr T operator()(T a, T b) const { return Maximum{}(a, b); }
};
struct Min {
  template <class T> static constexpr T start() {
    if constexpr (std::numeric_limits<T>::has_infinity) return std::numeric_limits<T>::infinity();
    else return std::numeric_limits<T>::max();
  }
  template <class T> constexpr T operator()(T a, T b) const { return Minimum{}(a, b); }
};

}  // namespace tenon::fn
