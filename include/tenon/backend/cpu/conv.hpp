// 2-D convolution on the CPU: which of the algorithms computes it, by a small model of their costs.
// x (N,H,W,C), w (O,KH,KW,C/groups), y (N,OH,OW,O); any stride, padding, dilation and groups.
#pragma once

#include "tenon/backend/cpu/conv_gemm.hpp"
#include "tenon/backend/cpu/winograd.hpp"
#include "tenon/core/scalar.hpp"

namespace tenon::cpu {

enum class ConvMethod { gemm, winograd2, winograd4 };

inline const char* name(ConvMethod m) {
  return m == ConvMethod::gemm ? "implicit GEMM" : m == ConvMethod::winograd2 ? "Winograd F(2,3)" : "Winograd F(4,3)";
}

// What each method would take, in milliseconds of one core; infinite where it does not apply. The rates were measured
// on the machine of bench/RESULTS.md: what counts is their ratios, which are much the same elsewhere.
struct ConvCosts {
  double gemm, winograd2, winograd4;

  ConvMethod best() const {
    if (gemm <= winograd2 && gemm <= winograd4) return ConvMethod::gemm;
    return winograd2 < winograd4 ? ConvMethod::winograd2 : ConvMethod::winograd4;
  }
};

inline ConvCosts conv_costs(const Conv2dGeometry& g) {
  constexpr double multiply_adds = 1e8, cached = 5e7, far = 2e7;  // a millisecond: products, bytes within reach, bytes
  const double products = static_cast<double>(g.n * g.oh * g.ow * g.o) * static_cast<double>(g.taps());
  const auto winograd = [&](int m) {
    if (!winograd_fits(g)) return std::numeric_limits<double>::infinity();
    const double positions = (m + 2) * (m + 2), c = static_cast<double>(g.c), o = static_cast<double>(g.o);
    const double tiles = static_cast<double>(g.n * ((g.oh + m - 1) / m) * ((g.ow + m - 1) / m));
    return positions * (tiles * c * o / multiply_adds + tiles * (c + o) * 8 / cached + c * o * 12 / far);
  };
  return {products / multiply_adds, winograd(2), winograd(4)};
}

namespace detail {

// Calls use(isa) or use(isa, F{}) for the chosen method. Winograd's rounding error is for float to bear, not for double.
template <class T, class Gemm, class Winograd>
void with_conv_method(const Conv2dGeometry& g, const Gemm& gemm, const Winograd& winograd) {
  with_best_isa([&](auto isa) {
    if constexpr (std::same_as<T, float>) {
      const ConvMethod method = conv_costs(g).best();
      if (method == ConvMethod::winograd2) return winograd(isa, Winograd2{});
      if (method == ConvMethod::winograd4) return winograd(isa, Winograd4{});
    }
    gemm(isa);
  });
}

}  // namespace detail

template <class T>
void conv2d_forward(const Conv2dGeometry& g, const T* x, const T* w, const BiasRelu<T>& finish, T* y) {
  detail::with_conv_method<T>(
      g, [&](auto isa) { conv2d_forward_gemm<T, decltype(isa)>(g, x, w, finish, y); },
      [&](auto isa, auto form) { winograd_forward<T, decltype(isa), decltype(form)>(g, x, w, finish, y); });
}

template <class T>
void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  detail::with_conv_method<T>(
      g, [&](auto isa) { conv2d_backward_data_gemm<T, decltype(isa)>(g, dy, w, dx); },
      [&](auto isa, auto form) { winograd_backward_data<T, decltype(isa), decltype(form)>(g, dy, w, dx); });
}

template <class T>
void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  detail::with_conv_method<T>(
      g, [&](auto isa) { conv2d_backward_weights_gemm<T, decltype(isa)>(g, x, dy, dw); },
      [&](auto isa, auto form) { winograd_backward_weights<T, decltype(isa), decltype(form)>(g, x, dy, dw); });
}

}  // namespace tenon::cpu
