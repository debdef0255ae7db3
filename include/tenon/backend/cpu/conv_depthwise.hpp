// Depthwise convolution on the CPU: every channel has a window of its own.
// x (N,H,W,C), w (C,KH,KW,1), y (N,OH,OW,C); any stride, padding and dilation.
//
// A register holds neighbouring channels of one pixel. A strip of a few output pixels of a line lies in
// registers at a time, so that pixels which their windows share are loaded once, and the next line is
// asked for in advance. Nothing is copied or multiplied by a padding's zeros. As few products meet a value,
// memory is what limits it; see Chollet 2017, "Xception", on where such convolutions come from.
#pragma once

#include <vector>

#include "tenon/backend/cpu/conv_gemm.hpp"
#include "tenon/backend/cpu/depthwise_sum.hpp"
#include "tenon/backend/cpu/depthwise_weight_gradient.hpp"

namespace tenon::cpu {

// A channel in, a channel out, and at least a register of the narrowest instruction set.
inline bool conv_depthwise_fits(const Conv2dGeometry& g) { return g.groups == g.c && g.o == g.c && g.c >= 4; }

namespace detail {

// The instruction set with registers of half the size, for what does not fill one.
template <class Isa>
struct HalfOf {
  using type = Isa;
};
template <>
struct HalfOf<Avx512> {
  using type = Avx2;
};
template <>
struct HalfOf<Avx2> {
  using type = Baseline;
};

template <class T>
DepthwiseWindows<T> depthwise_windows(const Conv2dGeometry& g, const T* x) {
  return {x,    g.h,        g.w,        g.c,          g.oh,         g.ow,     g.kh,
          g.kw, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w, -g.pad_h, -g.pad_w};
}

// Lines a task computes: a few hundred kilobytes.
template <class T>
Index depthwise_grain(const DepthwiseWindows<T>& v) {
  return std::clamp<Index>((Index{1} << 18) / (v.grid_w * v.c * static_cast<Index>(sizeof(T))), 4, 64);
}

// w (C,KH,KW), taps ys and xs of it, as [ky][kx][c].
template <class T>
void depthwise_taps(const Conv2dGeometry& g, const T* w, const std::vector<Index>& ys,
                    const std::vector<Index>& xs, T* out) {
  for (const Index ky : ys) {
    for (const Index kx : xs) {
      for (Index c = 0; c < g.c; ++c) *out++ = w[(c * g.kh + ky) * g.kw + kx];
    }
  }
}

inline std::vector<Index> all_taps(Index kernel) {
  std::vector<Index> taps(static_cast<std::size_t>(kernel));
  for (Index k = 0; k < kernel; ++k) taps[static_cast<std::size_t>(k)] = k;
  return taps;
}

}  // namespace detail

template <class T, class Isa>
void conv2d_forward_depthwise(const Conv2dGeometry& g, const T* x, const T* w, const Epilogue<T>& finish,
                              T* y) {
  if constexpr (Isa::bytes > Baseline::bytes) {
    if (g.c < lanes_of<T, Isa>)
      return conv2d_forward_depthwise<T, typename detail::HalfOf<Isa>::type>(g, x, w, finish, y);
  }
  Scratch<T> taps(g.kh * g.kw * g.c);
  detail::depthwise_taps(g, w, detail::all_taps(g.kh), detail::all_taps(g.kw), taps.data());
  const auto windows = detail::depthwise_windows(g, x);
  const detail::DepthwiseSum<T, Isa> sum{windows, taps.data(), finish, y, g.oh * g.ow * g.c, g.ow * g.c, g.c};
  parallel_ranges(g.n * g.oh, detail::depthwise_grain(windows), sum);
}

// Positions with equal remainder by the stride see the same taps: each such phase is a stride-1 convolution
// of dy. The taps that a phase sees are evenly spaced, and so are the outputs that they come from.
template <class T, class Isa>
void conv2d_backward_data_depthwise(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  if constexpr (Isa::bytes > Baseline::bytes) {
    if (g.c < lanes_of<T, Isa>)
      return conv2d_backward_data_depthwise<T, typename detail::HalfOf<Isa>::type>(g, dy, w, dx);
  }
  const auto step = [](const std::vector<Index>& offsets) {
    return offsets.size() > 1 ? offsets[1] - offsets[0] : 1;
  };
  Scratch<T> taps(g.kh * g.kw * g.c);
  for (Index py = 0; py < std::min(g.stride_h, g.h); ++py) {
    const auto ys = detail::phase_taps(py, g.kh, g.stride_h, g.pad_h, g.dilation_h);
    std::vector<detail::DepthwiseSum<T, Isa>> phases;  // of one remainder of the lines
    T* own_taps = taps.data();
    for (Index px = 0; px < std::min(g.stride_w, g.w); ++px) {
      const auto xs = detail::phase_taps(px, g.kw, g.stride_w, g.pad_w, g.dilation_w);
      detail::depthwise_taps(g, w, ys.taps, xs.taps, own_taps);
      const Index kh = static_cast<Index>(ys.taps.size()), kw = static_cast<Index>(xs.taps.size());
      phases.push_back({.windows = {.x = dy,
                                    .h = g.oh,
                                    .w = g.ow,
                                    .c = g.c,
                                    .grid_h = (g.h - py + g.stride_h - 1) / g.stride_h,
                                    .grid_w = (g.w - px + g.stride_w - 1) / g.stride_w,
                                    .kh = kh,
                                    .kw = kw,
                                    .stride_h = 1,
                                    .stride_w = 1,
                                    .step_h = step(ys.offsets),
                                    .step_w = step(xs.offsets),
                                    .first_y = kh > 0 ? ys.offsets[0] : 0,
                                    .first_x = kw > 0 ? xs.offsets[0] : 0},
                        .taps = own_taps,
                        .finish = {},
                        .y = dx + (py * g.w + px) * g.c,
                        .picture = g.h * g.w * g.c,
                        .line = g.stride_h * g.w * g.c,
                        .pixel = g.stride_w * g.c});
      own_taps += kh * kw * g.c;
    }
    const auto& first = phases.front().windows;
    parallel_ranges(g.n * first.grid_h, detail::depthwise_grain(first), [&](Index begin, Index end) {
      for (; begin < end; ++begin) {
        for (const auto& phase : phases) phase(begin, begin + 1);
      }
    });
  }
}

// Each piece of the lines has a sum of its own; they are added in order.
template <class T, class Isa>
void conv2d_backward_weights_depthwise(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  if constexpr (Isa::bytes > Baseline::bytes) {
    if (g.c < lanes_of<T, Isa>)
      return conv2d_backward_weights_depthwise<T, typename detail::HalfOf<Isa>::type>(g, x, dy, dw);
  }
  using Gradient = detail::DepthwiseWeightGradient<T, Isa>;
  const Index rows = g.n * g.oh, places = g.kh * g.kw, room = Gradient::room(g.c), size = places * room;
  const Index pieces = fixed_pieces(rows, 16, 32);
  Scratch<T> partial(pieces * size);
  parallel_for(pieces, [&](Index piece) {
    const Gradient gradient{detail::depthwise_windows(g, x), dy, partial.data() + piece * size};
    gradient(rows * piece / pieces, rows * (piece + 1) / pieces);
  });
  T* sum = partial.data();
  add_pieces(pieces - 1, size, sum + size, sum);
  for (Index c = 0; c < g.c; ++c) {
    const bool whole = c / Gradient::lanes < g.c / Gradient::lanes;  // or in the register that overlaps
    const Index at = whole ? c : room - g.c + c;
    for (Index k = 0; k < places; ++k) dw[c * places + k] = sum[k * room + at];
  }
}

}  // namespace tenon::cpu
