// The windows of a depthwise convolution: where they lie in a picture, and which of their taps lie inside.
#pragma once

#include <algorithm>
#include <type_traits>

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

namespace detail {

// From any address, once: see load_once.
template <class T, class Isa>
[[gnu::always_inline]] inline void load_unaligned_once(const T* p, Vec<T, Isa>& v) {
  typedef T Unaligned __attribute__((vector_size(Isa::bytes), aligned(alignof(T))));
  v = *reinterpret_cast<const volatile Unaligned*>(p);
}

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

}  // namespace detail

}  // namespace tenon::cpu
