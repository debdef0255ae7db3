// Convolution with stride 2, few channels and large windows, the first layer of a network, as one with stride 1: the
// pixels of each square of 2×2 become channels of one, and so do the taps of a window. 7×7 taps on 3 channels are 4×4
// taps on 12 of them, which Winograd's method does with 49 products where the definition has 147.
#pragma once

#include <cstring>

#include "tenon/backend/cpu/winograd.hpp"

namespace tenon::cpu {

// Windows of 7 or 8 pixels in each direction, of 1 to 4 channels.
inline bool conv_phases_fits(const Conv2dGeometry& g) {
  const auto window = [](Index k) { return (k + 1) / 2 == WinogradFourTaps::taps; };
  return g.oh > 0 && g.ow > 0 && window(g.kh) && window(g.kw) && g.stride_h == 2 && g.stride_w == 2 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.groups == 1 && 4 * g.c <= row_runs && g.o % row_runs == 0;
}

// The convolution with stride 1. Its picture holds the padding; its channels are (row, column) within a square, then c,
// and zeros up to 16.
inline Conv2dGeometry geometry_of_phases(const Conv2dGeometry& g) {
  constexpr Index taps = WinogradFourTaps::taps;
  return {.n = g.n,
          .h = g.oh + taps - 1,
          .w = g.ow + taps - 1,
          .c = row_runs,
          .o = g.o,
          .kh = taps,
          .kw = taps,
          .oh = g.oh,
          .ow = g.ow};
}

namespace detail {

// z, the picture of the convolution with stride 1, from x; of C channels.
template <int C, class T>
void gather_phases(const Conv2dGeometry& g, const T* x, T* z) {
  const Conv2dGeometry to = geometry_of_phases(g);
  parallel_ranges(to.n * to.h, 8, [&](Index begin, Index end) {
    for (Index line = begin; line < end; ++line) {
      T* out = z + line * to.w * to.c;
      std::fill_n(out, to.w * to.c, T(0));
      for (Index phase = 0; phase < 2; ++phase) {
        const Index y = 2 * (line % to.h) + phase - g.pad_h;
        if (y < 0 || y >= g.h) continue;
        const T* in = x + (line / to.h * g.h + y) * g.w * C;
        T* square = out + phase * 2 * C;
        const auto copy_pixel = [&](Index q, Index column) {
          const Index at = 2 * q + column - g.pad_w;
          if (at >= 0 && at < g.w) std::copy_n(in + at * C, C, square + q * to.c + column * C);
        };
        // Squares [first, last) lie within the picture.
        const Index first = std::min(to.w, (g.pad_w + 1) / 2), last = std::clamp((g.w + g.pad_w) / 2, first, to.w);
        for (Index q = 0; q < first; ++q) copy_pixel(q, 0), copy_pixel(q, 1);
        for (Index q = first; q < last; ++q)
          std::memcpy(square + q * to.c, in + (2 * q - g.pad_w) * C, 2 * C * sizeof(T));
        for (Index q = last; q < to.w; ++q) copy_pixel(q, 0), copy_pixel(q, 1);
      }
    }
  });
}
template <class T>
void gather_phases(const Conv2dGeometry& g, const T* x, T* z) {
  switch (g.c) {
    case 1:
      return gather_phases<1>(g, x, z);
    case 2:
      return gather_phases<2>(g, x, z);
    case 3:
      return gather_phases<3>(g, x, z);
    default:
      return gather_phases<4>(g, x, z);
  }
}

// use(i, j) for each weight: it is at i of w (O,KH,KW,C) and at j of the weights of the convolution with stride 1.
template <class Use>
void each_weight_of_phases(const Conv2dGeometry& g, const Use& use) {
  constexpr Index taps = WinogradFourTaps::taps;
  for (Index o = 0, i = 0; o < g.o; ++o) {
    for (Index ky = 0; ky < g.kh; ++ky) {
      for (Index kx = 0; kx < g.kw; ++kx) {
        const Index tap = (o * taps + ky / 2) * taps + kx / 2, phase = ky % 2 * 2 + kx % 2;
        for (Index c = 0; c < g.c; ++c, ++i) use(i, tap * row_runs + phase * g.c + c);
      }
    }
  }
}

// The weights of the convolution with stride 1.
template <class T>
struct PhaseWeights {
  PhaseWeights(const Conv2dGeometry& g, const T* w) : values(size(g)) {
    std::fill_n(values.data(), size(g), T(0));
    each_weight_of_phases(g, [&](Index from, Index to) { values[to] = w[from]; });
  }
  static Index size(const Conv2dGeometry& g) { return g.o * geometry_of_phases(g).taps(); }

  Scratch<T> values;
};

}  // namespace detail

template <class T, class Isa>
void conv2d_forward_phases(const Conv2dGeometry& g, const T* x, std::type_identity_t<ConvWeights<T>> w,
                           const Epilogue<T>& finish, T* y) {
  using Weights = detail::PhaseWeights<T>;
  const Conv2dGeometry phases = geometry_of_phases(g);
  const auto make = [&] { return std::make_shared<const Weights>(g, w.data); };
  const std::shared_ptr<const Weights> weights =
      w.forms ? w.forms->template get<Weights>(w.data, {g.o, g.kh, g.kw, g.c}, make) : make();
  Scratch<T> z(phases.n * phases.h * phases.w * phases.c);
  detail::gather_phases(g, x, z.data());
  winograd_forward<T, Isa, WinogradFourTaps>(phases, z.data(), {weights->values.data(), w.forms}, finish, y, 4 * g.c);
}

template <class T, class Isa>
void conv2d_backward_weights_phases(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  const Conv2dGeometry phases = geometry_of_phases(g);
  Scratch<T> z(phases.n * phases.h * phases.w * phases.c), gradient(detail::PhaseWeights<T>::size(g));
  detail::gather_phases(g, x, z.data());
  winograd_backward_weights<T, Isa, WinogradFourTaps>(phases, z.data(), dy, gradient.data());
  detail::each_weight_of_phases(g, [&](Index to, Index from) { dw[to] = gradient[from]; });
}

}  // namespace tenon::cpu
