// 2-D convolution on the CPU: which of the algorithms computes it, by a small model of their costs.
// x (N,H,W,C), w (O,KH,KW,C/groups), y (N,OH,OW,O); any stride, padding, dilation and groups.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "tenon/backend/cpu/conv_depthwise.hpp"
#include "tenon/backend/cpu/conv_gemm.hpp"
#include "tenon/backend/cpu/conv_groups.hpp"
#include "tenon/backend/cpu/conv_lanes.hpp"
#include "tenon/backend/cpu/conv_phases.hpp"
#include "tenon/core/scalar.hpp"

namespace tenon::cpu {

enum class ConvMethod { gemm, winograd2, winograd4, winograd_strided, winograd_phases, lanes, depthwise };

// Which of a convolution's three products: y, or the gradient of x or of w.
enum class ConvDirection { forward, data, weights };

inline const char* name(ConvMethod m) {
  switch (m) {
    case ConvMethod::gemm:
      return "implicit GEMM";
    case ConvMethod::winograd2:
      return "Winograd F(2,3)";
    case ConvMethod::winograd4:
      return "Winograd F(4,3)";
    case ConvMethod::winograd_strided:
      return "Winograd F(4,3) with stride 2";
    case ConvMethod::winograd_phases:
      return "Winograd F(4,4) on squares of pixels";
    case ConvMethod::lanes:
      return "pictures in lanes";
    case ConvMethod::depthwise:
      return "depthwise";
  }
  return "";
}

// What each method would take, in milliseconds of one core; infinite where it does not apply. The rates were
// measured on the machine of bench/RESULTS.md: what counts is their ratios, which are much the same
// elsewhere.
class ConvCosts {
 public:
  ConvCosts() { costs_.fill(std::numeric_limits<double>::infinity()); }

  double& operator[](ConvMethod m) { return costs_[static_cast<std::size_t>(m)]; }
  double operator[](ConvMethod m) const { return costs_[static_cast<std::size_t>(m)]; }
  ConvMethod best() const {
    return static_cast<ConvMethod>(std::min_element(costs_.begin(), costs_.end()) - costs_.begin());
  }

 private:
  std::array<double, static_cast<std::size_t>(ConvMethod::depthwise) + 1> costs_;
};

namespace detail {

template <class Isa>
ConvCosts conv_costs(const Conv2dGeometry& g, ConvDirection direction, bool kept) {
  // In a millisecond: products; bytes of the caches; of main memory; and below, bytes that Winograd's transforms read
  // and write, with a stride more slowly, above all where outputs are transformed back.
  constexpr double multiply_adds = 1e8, cached = 5e7, far = 2e7;
  const double products = static_cast<double>(g.n * g.oh * g.ow * g.o) * static_cast<double>(g.taps());
  const auto winograd = [&]<class F>(F, const Conv2dGeometry& of) {
    const double c = static_cast<double>(of.c), o = static_cast<double>(of.o);
    const double moved = of.stride_h == 1 ? 7e7 : direction == ConvDirection::weights ? 6.5e7 : 4.7e7;
    constexpr Index rows = Isa::rows;
    const Index block = winograd_block_tiles<F>(of);
    const auto tiles = winograd_tiles<F, rows>(of.n, of.oh, of.ow, block);
    const auto values = static_cast<double>(winograd_products<F, rows>(tiles, block));
    const double work = values * (c * o / multiply_adds + (c + o) * 8 / moved),
                 weights = F::filters * F::filters * c * o;
    return kept ? std::max(work, weights * 4 / far) : work + weights * 6 / cached;
  };
  // Output channels fill whole registers in a matrix product, pictures do in lanes; both copy some of what they read.
  const double filled =
      static_cast<double>((g.group_out() + 15) / 16 * 16) / static_cast<double>(g.group_out());
  const double patches = products / static_cast<double>(g.group_out()),
               values = static_cast<double>(g.n * (g.h * g.w * g.c + g.oh * g.ow * g.o));
  const double blocks = static_cast<double>((g.n + 15) / 16 * 16) / static_cast<double>(g.n);
  const double packing = kept ? 0 : static_cast<double>(g.o * g.taps()) * 8 / cached;
  ConvCosts costs;
  // With a stride the gradient of the data is made in parts, of few terms each, whose values go to their places.
  const bool parts = direction == ConvDirection::data && (g.stride_h > 1 || g.stride_w > 1) && !g.pointwise();
  const double spread = parts ? static_cast<double>(g.n * g.h * g.w * g.c) * 16 / cached : 0;
  costs[ConvMethod::gemm] =
      products * filled / multiply_adds + packing + spread + (g.pointwise() ? 0 : patches * 4 / cached);
  if (winograd_fits<Winograd2>(g)) costs[ConvMethod::winograd2] = winograd(Winograd2{}, g);
  if (winograd_fits<Winograd4>(g)) costs[ConvMethod::winograd4] = winograd(Winograd4{}, g);
  if (winograd_fits<WinogradStrided4>(g)) costs[ConvMethod::winograd_strided] = winograd(WinogradStrided4{}, g);
  if (conv_phases_fits(g)) {
    const Conv2dGeometry phases = geometry_of_phases(g);
    costs[ConvMethod::winograd_phases] = winograd(WinogradFourTaps{}, phases) +
                                         static_cast<double>(phases.n * phases.h * phases.w * phases.c) * 8 / cached;
  }
  if (conv_lanes_fits(g)) costs[ConvMethod::lanes] = blocks * (products / 0.8 / multiply_adds + values * 4 / far);
  if (conv_depthwise_fits(g))
    costs[ConvMethod::depthwise] = std::max(products * 2 / multiply_adds, values * 4 / far);
  return costs;
}

}  // namespace detail

// On this processor. `kept` says that the weights need no preparation, only to be read from memory, which goes on while
// others are used.
inline ConvCosts conv_costs(const Conv2dGeometry& g, ConvDirection direction = ConvDirection::forward,
                            bool kept = false) {
  ConvCosts costs;
  with_best_isa([&](auto isa) { costs = detail::conv_costs<decltype(isa)>(g, direction, kept); });
  return costs;
}

namespace detail {

// The convolution with several small groups as one, if that is how to compute it.
inline std::optional<Conv2dGeometry> mergeable_groups(const Conv2dGeometry& g) {
  const Conv2dGeometry merged = merge_groups(g);
  if (merged.groups == g.groups || conv_depthwise_fits(g)) return std::nullopt;
  return merged;
}

// Calls use(isa, method). Winograd's rounding error is for float to bear, not for double.
template <class T, class Use>
void with_conv_method(const Conv2dGeometry& g, ConvDirection direction, bool kept, const Use& use) {
  ConvCosts costs = cpu::conv_costs(g, direction, kept);
  if constexpr (!std::same_as<T, float>) {
    for (const auto m :
         {ConvMethod::winograd2, ConvMethod::winograd4, ConvMethod::winograd_strided, ConvMethod::winograd_phases})
      costs[m] = std::numeric_limits<double>::infinity();
  }
  with_best_isa([&](auto isa) { use(isa, costs.best()); });
}

// use(F{}) with the transform of a method of Winograd's; false for the other methods.
template <class T, class Use>
bool with_winograd(ConvMethod method, const Use& use) {
  if constexpr (std::same_as<T, float>) {
    if (method == ConvMethod::winograd2) return use(Winograd2{}), true;
    if (method == ConvMethod::winograd4) return use(Winograd4{}), true;
    if (method == ConvMethod::winograd_strided) return use(WinogradStrided4{}), true;
  }
  return false;
}

}  // namespace detail

// finish.residual may be y itself: a product and Winograd's transform read each value before they write it, for the
// other methods it is copied.
template <class T>
void conv2d_forward(const Conv2dGeometry& g, const T* x, std::type_identity_t<ConvWeights<T>> w,
                    Epilogue<T> finish, T* y) {
  if (const auto merged = detail::mergeable_groups(g)) {
    Scratch<T> weights(merged->o * merged->taps());
    merge_group_weights(g, *merged, w.data, weights.data());
    return conv2d_forward<T>(*merged, x, weights.data(), finish, y);
  }
  detail::with_conv_method<T>(g, ConvDirection::forward, w.forms != nullptr, [&](auto isa, ConvMethod method) {
    using Isa = decltype(isa);
    const auto winograd = [&]<class F>(F) { winograd_forward<T, Isa, F>(g, x, w, finish, y); };
    if (detail::with_winograd<T>(method, winograd)) return;
    if constexpr (std::same_as<T, float>) {
      if (method == ConvMethod::winograd_phases) return conv2d_forward_phases<T, Isa>(g, x, w, finish, y);
    }
    const bool copied = finish.residual == y && !(method == ConvMethod::gemm && g.pointwise());
    const Index size = g.n * g.oh * g.ow * g.o;
    Scratch<T> residual(copied ? size : 0);
    if (copied) {
      copy(y, residual.data(), size);
      finish.residual = residual.data();
    }
    if (method == ConvMethod::lanes) return conv2d_forward_lanes<T, Isa>(g, x, w.data, finish, y);
    if (method == ConvMethod::depthwise) return conv2d_forward_depthwise<T, Isa>(g, x, w.data, finish, y);
    conv2d_forward_gemm<T, Isa>(g, x, w, finish, y);
  });
}

// dx = the gradient, or += where `add`: to what other users of x have added so far.
template <class T>
void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, bool add, T* dx) {
  if (const auto merged = detail::mergeable_groups(g)) {
    Scratch<T> weights(merged->o * merged->taps());
    merge_group_weights(g, *merged, w, weights.data());
    return conv2d_backward_data<T>(*merged, dy, weights.data(), add, dx);
  }
  detail::with_conv_method<T>(g, ConvDirection::data, false, [&](auto isa, ConvMethod method) {
    using Isa = decltype(isa);
    const auto winograd = [&]<class F>(F) {
      winograd_backward_data<T, Isa, F>(g, dy, w, Epilogue<T>{.residual = add ? dx : nullptr, .row = g.c}, dx);
    };
    if (detail::with_winograd<T>(method, winograd)) return;
    if (method == ConvMethod::gemm && g.pointwise())
      return conv2d_backward_data_pointwise<T, Isa>(g, dy, w, add, dx);
    const Index size = g.n * g.h * g.w * g.c;
    Scratch<T> apart(add ? size : 0);
    T* out = add ? apart.data() : dx;
    if (method == ConvMethod::lanes && g.stride_h == 1 && g.stride_w == 1) {
      conv2d_backward_data_lanes<T, Isa>(g, dy, w, out);
    } else if (method == ConvMethod::depthwise) {
      conv2d_backward_data_depthwise<T, Isa>(g, dy, w, out);
    } else {
      conv2d_backward_data_gemm<T, Isa>(g, dy, w, out);
    }
    if (add) zip(fn::Add{}, dx, out, dx, size);
  });
}

template <class T>
void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  if (const auto merged = detail::mergeable_groups(g)) {
    Scratch<T> weights(merged->o * merged->taps());
    conv2d_backward_weights<T>(*merged, x, dy, weights.data());
    return split_group_weights(g, *merged, weights.data(), dw);
  }
  detail::with_conv_method<T>(g, ConvDirection::weights, false, [&](auto isa, ConvMethod method) {
    using Isa = decltype(isa);
    const auto winograd = [&]<class F>(F) { winograd_backward_weights<T, Isa, F>(g, x, dy, dw); };
    if (detail::with_winograd<T>(method, winograd)) return;
    if constexpr (std::same_as<T, float>) {
      if (method == ConvMethod::winograd_phases) return conv2d_backward_weights_phases<T, Isa>(g, x, dy, dw);
    }
    if (method == ConvMethod::lanes) return conv2d_backward_weights_lanes<T, Isa>(g, x, dy, dw);
    if (method == ConvMethod::depthwise) return conv2d_backward_weights_depthwise<T, Isa>(g, x, dy, dw);
    conv2d_backward_weights_gemm<T, Isa>(g, x, dy, dw);
  });
}

}  // namespace tenon::cpu
