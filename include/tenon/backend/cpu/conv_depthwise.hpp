// Depthwise convolution on the CPU: every channel has a window of its own.
// x (N,H,W,C), w (C,KH,KW,1), y (N,OH,OW,C); any stride, padding and dilation.
//
// A register holds neighbouring channels of one pixel. A strip of a few output pixels of a line lies in
// registers at a time, so that pixels which their windows share are loaded once, and the next line is
// asked for in advance. Nothing is copied or multiplied by a padding's zeros. As few products meet a value,
// memory is what limits it; see Chollet 2017, "Xception", on where such convolutions come from.
#pragma once

#include "tenon/backend/cpu/conv_gemm.hpp"

namespace tenon::cpu {

// A channel in, a channel out, and at least a register of the narrowest instruction set.
inline bool conv_depthwise_fits(const Conv2dGeometry& g) { return g.groups == g.c && g.o == g.c && g.c >= 4; }

namespace detail {

// From any address, once: see load_once.
template <class T, class Isa>
[[gnu::always_inline]] inline void load_unaligned_once(const T* p, Vec<T, Isa>& v) {
  typedef T Unaligned __attribute__((vector_size(Isa::bytes), aligned(alignof(T))));
  v = *reinterpret_cast<const volatile Unaligned*>(p);
}

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

// Windows over pictures x (·,h,w,c), one a point (gy, gx) of a grid: tap (ky, kx) lies at
// (gy·stride_h + first_y + ky·step_h, gx·stride_w + first_x + kx·step_w).
template <class T>
struct DepthwiseWindows {
  const T* x;
  Index h, w, c;
  Index grid_h, grid_w;
  Index kh, kw, stride_h, stride_w, step_h, step_w, first_y, first_x;

  // Whether all columns of `points` neighbouring windows lie inside, the first of which begins at x0.
  bool inside(Index x0, Index points) const {
    return x0 >= 0 && x0 + (points - 1) * stride_w + (kw - 1) * step_w < w;
  }

  // Calls visit(K, S) with the window's width and stride as constants where there are loops for them, or 0.
  template <class Visit>
  [[gnu::always_inline]] void with_form(const Visit& visit) const {
    constexpr auto _0 = std::integral_constant<int, 0>();
    constexpr auto _1 = std::integral_constant<int, 1>();
    constexpr auto _2 = std::integral_constant<int, 2>();
    const bool known = step_w == 1 && stride_w <= 2;
    if (known && kw == 3 && stride_w == 1) return visit(std::integral_constant<int, 3>(), _1);
    if (known && kw == 3) return visit(std::integral_constant<int, 3>(), _2);
    if (known && kw == 5 && stride_w == 1) return visit(std::integral_constant<int, 5>(), _1);
    if (known && kw == 5) return visit(std::integral_constant<int, 5>(), _2);
    if (known && kw == 7 && stride_w == 1) return visit(std::integral_constant<int, 7>(), _1);
    visit(_0, _1);
  }
};

// The windows of one line of the grids: taps [first_ky, last_ky) lie inside the picture's height.
template <class T>
struct DepthwiseLine {
  const T* picture;
  Index y0, first_ky, last_ky;
  const T* next;  // the line that the next windows need in addition

  [[gnu::always_inline]] DepthwiseLine(const DepthwiseWindows<T>& v, Index row) {
    picture = v.x + row / v.grid_h * v.h * v.w * v.c;
    y0 = row % v.grid_h * v.stride_h + v.first_y;
    first_ky = y0 < 0 ? (-y0 + v.step_h - 1) / v.step_h : 0;
    last_ky = y0 >= v.h ? 0 : std::min(v.kh, (v.h - 1 - y0) / v.step_h + 1);
    next = picture + std::clamp<Index>(y0 + (v.kh - 1) * v.step_h + v.stride_h, 0, v.h - 1) * v.w * v.c;
  }
};

// The columns under P windows, S apart, of the S lines that end with `last`. In order they lie far apart, so
// the processor does not ask for them by itself.
template <class T, int P, int S>
[[gnu::always_inline]] inline void ask_for_next(const T* last, Index line, Index pixel) {
  for (int l = 0; l < S; ++l) {
#pragma GCC unroll 16
    for (int p = 0; p < P * S; ++p) __builtin_prefetch(last - l * line + p * pixel);
  }
}

// y at the points of a grid = Σ x·taps[ky][kx][c], then the epilogue.
template <class T, class Isa>
struct DepthwiseSum {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  DepthwiseWindows<T> windows;
  const T* taps;
  Epilogue<T> finish;
  T* y;
  Index picture, line, pixel;  // values from one picture, grid line and grid point of y to the next

  // Lines [first, last) of all pictures' grids.
  void operator()(Index first, Index last) const {
    CompiledFor<Isa>::run([&] {
      windows.with_form([&]<int K, int S>(std::integral_constant<int, K>, std::integral_constant<int, S>)
                            __attribute__((always_inline)) { lines<K, S>(first, last); });
    });
  }

 private:
  // Strips that reach past the end begin earlier instead.
  template <int K, int S>
  [[gnu::always_inline]] void lines(Index first, Index last) const {
    const Index width = windows.grid_w;
    for (Index row = first; row < last; ++row) {
      const DepthwiseLine<T> at(windows, row);
      const Index out = row / windows.grid_h * picture + row % windows.grid_h * line;
      for (Index gx = 0; gx < width;) {
        if (width >= 7 && width - gx > 3)
          gx += strip<7, K, S>(at, std::min(gx, width - 7), out);
        else if (width >= 3)
          gx += strip<3, 0, 1>(at, std::min(gx, width - 3), out);
        else
          gx += strip<1, 0, 1>(at, gx, out);
      }
    }
  }

  template <int P, int K, int S>
  [[gnu::always_inline]] Index strip(const DepthwiseLine<T>& at, Index gx, Index out) const {
    const Index c = windows.c, x0 = gx * windows.stride_w + windows.first_x;
    const bool inside = windows.inside(x0, P);
    const T* next = at.next + std::max<Index>(x0, 0) * c;
    T* to = y + out + gx * pixel;
    for (Index j = 0; j < c; j += lanes) {
      const Index channel = std::min(j, c - lanes);
      V sum[P] = {};
      ask_for_next<T, P, S>(next + channel, windows.w * c, c);
      for (Index ky = at.first_ky; ky < at.last_ky; ++ky) {
        const T* in = at.picture + (at.y0 + ky * windows.step_h) * windows.w * c + channel;
        const T* tap = taps + ky * windows.kw * c + channel;
        if constexpr (K > 0) {
          if (inside) add_shared<P, K, S, false>(in, tap, x0, sum);
          if (!inside) add_shared<P, K, S, true>(in, tap, x0, sum);
        } else {
          add<P>(in, tap, x0, sum);
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        V more;
        if (finish.residual) load<T, Isa>(finish.residual + (to - y) + p * pixel + channel, more);
        finish.template on_register<Isa>(channel, finish.residual ? &more : nullptr, sum[p]);
        store<T, Isa>(sum[p], to + p * pixel + channel);
      }
    }
    return P;
  }

  // One line of the windows: K taps, S pixels from one window to the next.
  template <int P, int K, int S, bool Clip>
  [[gnu::always_inline]] void add_shared(const T* in, const T* tap, Index x0, V (&sum)[P]) const {
    V weight[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) load_unaligned_once<T, Isa>(tap + k * windows.c, weight[k]);
    Index at = x0 * windows.c;
#pragma GCC unroll 32
    for (int i = 0; i < (P - 1) * S + K; ++i, at += windows.c) {
      if (Clip && (x0 + i < 0 || x0 + i >= windows.w)) continue;
      V value;
      load_unaligned_once<T, Isa>(in + at, value);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        if ((i - k) % S == 0 && i >= k && (i - k) / S < P) sum[(i - k) / S] += value * weight[k];
      }
    }
  }

  // Any width, stride and spacing of the taps.
  template <int P>
  [[gnu::always_inline]] void add(const T* in, const T* tap, Index x0, V (&sum)[P]) const {
    for (Index k = 0; k < windows.kw; ++k, tap += windows.c, x0 += windows.step_w) {
      V weight, value;
      load<T, Isa>(tap, weight);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const Index at = x0 + p * windows.stride_w;
        if (at < 0 || at >= windows.w) continue;
        load<T, Isa>(in + at * windows.c, value);
        sum[p] += value * weight;
      }
    }
  }
};

// dw[ky][kx] += Σ dy·x over lines of dy (N,OH,OW,C), whose sums stay in the first-level cache: a register for
// each tap and register of channels, the last of which overlaps.
template <class T, class Isa>
struct DepthwiseWeightGradient {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  DepthwiseWindows<T> windows;
  const T* dy;
  T* sums;  // room(c) for each tap

  static Index room(Index c) { return (c + lanes - 1) / lanes * lanes; }

  void operator()(Index first, Index last) const {
    CompiledFor<Isa>::run([&] {
      std::fill_n(sums, windows.kh * windows.kw * room(windows.c), T(0));
      windows.with_form([&]<int K, int S>(std::integral_constant<int, K>, std::integral_constant<int, S>)
                            __attribute__((always_inline)) { lines<K, S>(first, last); });
    });
  }

 private:
  template <int K, int S>
  [[gnu::always_inline]] void lines(Index first, Index last) const {
    const Index width = windows.grid_w;
    for (Index row = first; row < last; ++row) {
      const DepthwiseLine<T> at(windows, row);
      const T* gradient = dy + row * width * windows.c;
      Index gx = 0;
      while (gx + 7 <= width) gx += strip<7, K, S>(at, gx, gradient);
      while (gx + 3 <= width) gx += strip<3, 0, 1>(at, gx, gradient);
      while (gx < width) gx += strip<1, 0, 1>(at, gx, gradient);
    }
  }

  template <int P, int K, int S>
  [[gnu::always_inline]] Index strip(const DepthwiseLine<T>& at, Index gx, const T* gradient) const {
    const Index c = windows.c, size = room(c), x0 = gx * windows.stride_w + windows.first_x;
    const bool inside = windows.inside(x0, P);
    const T* next = at.next + std::max<Index>(x0, 0) * c;
    gradient += gx * c;
    for (Index j = 0; j < c; j += lanes) {
      const Index channel = std::min(j, c - lanes);
      ask_for_next<T, P, S>(next + channel, windows.w * c, c);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) __builtin_prefetch(gradient + (p + windows.grid_w) * c + channel);
      V d[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) load<T, Isa>(gradient + p * c + channel, d[p]);
      for (Index ky = at.first_ky; ky < at.last_ky; ++ky) {
        const T* in = at.picture + (at.y0 + ky * windows.step_h) * windows.w * c + channel;
        T* sum = sums + ky * windows.kw * size + j;
        if constexpr (K > 0) {
          if (inside) add_shared<P, K, S, false>(in, d, x0, sum);
          if (!inside) add_shared<P, K, S, true>(in, d, x0, sum);
        } else {
          add<P>(in, d, x0, sum);
        }
      }
    }
    return P;
  }

  template <int P, int K, int S, bool Clip>
  [[gnu::always_inline]] void add_shared(const T* in, const V (&d)[P], Index x0, T* sums_of_line) const {
    const Index size = room(windows.c);
    V sum[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) load<T, Isa>(sums_of_line + k * size, sum[k]);
    Index at = x0 * windows.c;
#pragma GCC unroll 32
    for (int i = 0; i < (P - 1) * S + K; ++i, at += windows.c) {
      if (Clip && (x0 + i < 0 || x0 + i >= windows.w)) continue;
      V value;
      load_unaligned_once<T, Isa>(in + at, value);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        if ((i - k) % S == 0 && i >= k && (i - k) / S < P) sum[k] += value * d[(i - k) / S];
      }
    }
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) store<T, Isa>(sum[k], sums_of_line + k * size);
  }

  template <int P>
  [[gnu::always_inline]] void add(const T* in, const V (&d)[P], Index x0, T* sum) const {
    for (Index k = 0; k < windows.kw; ++k, sum += room(windows.c), x0 += windows.step_w) {
      V total, value;
      load<T, Isa>(sum, total);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const Index at = x0 + p * windows.stride_w;
        if (at < 0 || at >= windows.w) continue;
        load<T, Isa>(in + at * windows.c, value);
        total += value * d[p];
      }
      store<T, Isa>(total, sum);
    }
  }
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
  Scratch<T> partial((pieces + 1) * size);
  parallel_for(pieces, [&](Index piece) {
    const Gradient gradient{detail::depthwise_windows(g, x), dy, partial.data() + piece * size};
    gradient(rows * piece / pieces, rows * (piece + 1) / pieces);
  });
  T* sum = partial.data() + pieces * size;
  detail::add_pieces(pieces, size, partial.data(), sum);
  for (Index c = 0; c < g.c; ++c) {
    const bool whole = c / Gradient::lanes < g.c / Gradient::lanes;  // or in the register that overlaps
    const Index at = whole ? c : room - g.c + c;
    for (Index k = 0; k < places; ++k) dw[c * places + k] = sum[k * room + at];
  }
}

}  // namespace tenon::cpu
