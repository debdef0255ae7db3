// Pooling on the CPU: maximum, average and adaptive average over windows of x (N,H,W,C), and their gradients.
// Channels lie side by side, so every loop over c is a vector loop.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/simd.hpp"

namespace tenon::cpu {

// A window of the input, cut to the picture: rows [y0,y1), columns [x0,x1).
struct Window {
  Index y0, y1, x0, x1;
  Index area() const { return (y1 - y0) * (x1 - x0); }
};

inline Window pool_window(const Pool2dGeometry& g, Index oy, Index ox) {
  const Index y = oy * g.stride_h - g.pad_h, x = ox * g.stride_w - g.pad_w;
  return {std::max<Index>(y, 0), std::min(y + g.kh, g.h), std::max<Index>(x, 0), std::min(x + g.kw, g.w)};
}

// Window i of `out` over `in` positions runs from floor(i·in/out) to ceil((i+1)·in/out), as in PyTorch.
inline Window adaptive_window(const ResizeGeometry& g, Index oy, Index ox) {
  return {oy * g.h / g.oh, ((oy + 1) * g.h + g.oh - 1) / g.oh, ox * g.w / g.ow,
          ((ox + 1) * g.w + g.ow - 1) / g.ow};
}

namespace detail {

// The channels of pixel after pixel, in increasing order of address: registers of channels, of which the last
// may reach into the next pixel, whose own values are written after it. `room(i)` says whether a whole
// register may be used at channel i; where not, numbers go one by one.
template <class T, class Room, class Body>
[[gnu::always_inline]] inline void each_channel(Index c, const Room& room, const Body& body) {
  Index i = 0;
  for (; i < c && room(i + Register<T>::lanes); i += Register<T>::lanes) body(Register<T>{}, i);
  for (; i < c; ++i) body(Single<T>{}, i);
}

// Where each tap of a window lies, in elements from the first.
inline std::vector<Index> tap_offsets(const Pool2dGeometry& g) {
  std::vector<Index> offsets;
  for (Index ky = 0; ky < g.kh; ++ky) {
    for (Index kx = 0; kx < g.kw; ++kx) offsets.push_back((ky * g.w + kx) * g.c);
  }
  return offsets;
}

inline Index rows_grain(Index row_elements) {
  return std::max<Index>(1, elementwise_grain / std::max<Index>(1, row_elements));
}

}  // namespace detail

// y (N,OH,OW,C) and, where a gradient is wanted, which tap of its window each maximum came from: ky·KW + kx, in an
// integer type I that holds KH·KW - 1. The first of equal values is taken, and a NaN before any number.
template <class T, class I = void>
void max_pool_forward(const Pool2dGeometry& g, const T* x, T* y, I* index = nullptr) {
  const Index all = g.n * g.h * g.w * g.c, taps = g.kh * g.kw;
  const auto offsets = detail::tap_offsets(g);
  parallel_ranges(g.n * g.oh, detail::rows_grain(g.ow * g.c * taps), [&](Index begin, Index end) {
    const Index* offset = offsets.data();
    const Index last = end * g.ow * g.c;  // this piece's part of y ends here
    for (Index r = begin; r < end; ++r) {
      const Index oy = r % g.oh, top = oy * g.stride_h - g.pad_h, picture = r / g.oh * g.h * g.w * g.c;
      for (Index ox = 0; ox < g.ow; ++ox) {
        const Window win = pool_window(g, oy, ox);
        const Index left = ox * g.stride_w - g.pad_w, out = (r * g.ow + ox) * g.c;
        const Index corner = picture + (top * g.w + left) * g.c;  // of the whole window
        const Index furthest = picture + ((win.y1 - 1) * g.w + win.x1 - 1) * g.c;
        const bool whole = win.area() == taps;
        detail::each_channel<T>(
            g.c, [&](Index i) { return out + i <= last && furthest + i <= all; },
            [&](auto lanes, Index i) {
              using L = decltype(lanes);
              const Index start = (win.y0 - top) * g.kw + win.x0 - left;
              auto best = L::load(x + (corner + offset[start] + i)), nan = best;
              auto where = L::ints(start);
              const auto look = [&](Index tap) {
                const auto value = L::load(x + (corner + offset[tap] + i));
                if constexpr (std::is_void_v<I>) {  // NaN is noted beside the maximum, and nothing waits for it
                  best = value > best ? value : best;
                  nan = value != value ? value : nan;
                } else {
                  const auto better = (value > best) | (value != value);
                  best = better ? value : best;
                  where = better ? L::ints(tap) : where;
                }
              };
              if (whole) {
                for (Index tap = 1; tap < taps; ++tap) look(tap);
              } else {
                for (Index iy = win.y0; iy < win.y1; ++iy) {
                  for (Index ix = win.x0; ix < win.x1; ++ix) look((iy - top) * g.kw + ix - left);
                }
              }
              if constexpr (std::is_void_v<I>) {
                L::store(y + out + i, nan != nan ? nan : best);
              } else {
                L::store(y + out + i, best);
                L::store_ints(index + out + i, where);
              }
            });
      }
    }
  });
}

template <class T, class I>
void max_pool_backward(const Pool2dGeometry& g, const T* dy, const I* index, T* dx) {
  const auto offsets = detail::tap_offsets(g);
  parallel_for(g.n, [&, offset = offsets.data()](Index n) {
    std::fill_n(dx + n * g.h * g.w * g.c, g.h * g.w * g.c, T(0));
    for (Index oy = 0; oy < g.oh; ++oy) {
      for (Index ox = 0; ox < g.ow; ++ox) {
        const Index from = ((n * g.oh + oy) * g.ow + ox) * g.c;
        const Index corner = ((n * g.h + oy * g.stride_h - g.pad_h) * g.w + ox * g.stride_w - g.pad_w) * g.c;
        for (Index c = 0; c < g.c; ++c) dx[corner + offset[index[from + c]] + c] += dy[from + c];
      }
    }
  });
}

namespace detail {

// y = the mean over each window, divided by divisor(window).
template <class T, class Geometry, class WindowOf, class Divisor>
void mean_forward(const Geometry& g, const T* x, T* y, const WindowOf& window, const Divisor& divisor) {
  parallel_for(g.n, [&](Index n) {
    const T* picture = x + n * g.h * g.w * g.c;
    for (Index oy = 0; oy < g.oh; ++oy) {
      for (Index ox = 0; ox < g.ow; ++ox) {
        const Window win = window(oy, ox);
        T* __restrict out = y + ((n * g.oh + oy) * g.ow + ox) * g.c;
        std::fill_n(out, g.c, T(0));
        for (Index iy = win.y0; iy < win.y1; ++iy) {
          for (Index ix = win.x0; ix < win.x1; ++ix) {
            const T* __restrict value = picture + (iy * g.w + ix) * g.c;
            for (Index c = 0; c < g.c; ++c) out[c] += value[c];
          }
        }
        const T scale = T(1) / static_cast<T>(divisor(win));
        for (Index c = 0; c < g.c; ++c) out[c] *= scale;
      }
    }
  });
}

template <class T, class Geometry, class WindowOf, class Divisor>
void mean_backward(const Geometry& g, const T* dy, T* dx, const WindowOf& window, const Divisor& divisor) {
  parallel_for(g.n, [&](Index n) {
    T* picture = dx + n * g.h * g.w * g.c;
    std::fill_n(picture, g.h * g.w * g.c, T(0));
    for (Index oy = 0; oy < g.oh; ++oy) {
      for (Index ox = 0; ox < g.ow; ++ox) {
        const Window win = window(oy, ox);
        const T* __restrict in = dy + ((n * g.oh + oy) * g.ow + ox) * g.c;
        const T scale = T(1) / static_cast<T>(divisor(win));
        for (Index iy = win.y0; iy < win.y1; ++iy) {
          for (Index ix = win.x0; ix < win.x1; ++ix) {
            T* __restrict out = picture + (iy * g.w + ix) * g.c;
            for (Index c = 0; c < g.c; ++c) out[c] += in[c] * scale;
          }
        }
      }
    }
  });
}

}  // namespace detail

// Padding counts as zeros in the mean (PyTorch's count_include_pad = true).
template <class T>
void avg_pool_forward(const Pool2dGeometry& g, const T* x, T* y) {
  detail::mean_forward(
      g, x, y, [&](Index oy, Index ox) { return pool_window(g, oy, ox); },
      [&](const Window&) { return g.kh * g.kw; });
}

template <class T>
void avg_pool_backward(const Pool2dGeometry& g, const T* dy, T* dx) {
  detail::mean_backward(
      g, dy, dx, [&](Index oy, Index ox) { return pool_window(g, oy, ox); },
      [&](const Window&) { return g.kh * g.kw; });
}

namespace detail {

// The mean of each picture's pixels, y (N,C): row by row, then the rows, so that long sums lose no digits.
template <class T>
void global_mean_forward(const ResizeGeometry& g, const T* x, T* y) {
  using W = Wide<T>;
  const W scale = W(1) / static_cast<W>(g.h * g.w);
  parallel_ranges(g.n, rows_grain(g.h * g.w * g.c), [&](Index begin, Index end) {
    std::vector<W> sums(static_cast<std::size_t>(2 * g.c));
    W *row = sums.data(), *total = row + g.c;
    for (Index n = begin; n < end; ++n) {
      std::fill_n(total, g.c, W(0));
      for (Index iy = 0; iy < g.h; ++iy) {
        std::fill_n(row, g.c, W(0));
        for (Index ix = 0; ix < g.w; ++ix) {
          const T* pixel = x + ((n * g.h + iy) * g.w + ix) * g.c;
          for_lanes<T>(g.c, [&](auto lanes, Index i) {
            using L = decltype(lanes);
            L::store(row + i, L::load(row + i) + L::load(pixel + i));
          });
        }
        for (Index i = 0; i < g.c; ++i) total[i] += row[i];
      }
      for (Index i = 0; i < g.c; ++i) y[n * g.c + i] = static_cast<T>(total[i] * scale);
    }
  });
}

template <class T>
void global_mean_backward(const ResizeGeometry& g, const T* dy, T* dx) {
  using W = Wide<T>;
  const W scale = W(1) / static_cast<W>(g.h * g.w);
  parallel_ranges(g.n, rows_grain(g.h * g.w * g.c), [&](Index begin, Index end) {
    for (Index n = begin; n < end; ++n) {
      T* picture = dx + n * g.h * g.w * g.c;
      for (Index i = 0; i < g.c; ++i) picture[i] = static_cast<T>(static_cast<W>(dy[n * g.c + i]) * scale);
      for (Index p = 1; p < g.h * g.w; ++p) std::copy_n(picture, g.c, picture + p * g.c);
    }
  });
}

}  // namespace detail

template <class T>
void adaptive_avg_pool_forward(const ResizeGeometry& g, const T* x, T* y) {
  if (g.oh == 1 && g.ow == 1) return detail::global_mean_forward(g, x, y);
  detail::mean_forward(
      g, x, y, [&](Index oy, Index ox) { return adaptive_window(g, oy, ox); },
      [](const Window& win) { return win.area(); });
}

template <class T>
void adaptive_avg_pool_backward(const ResizeGeometry& g, const T* dy, T* dx) {
  if (g.oh == 1 && g.ow == 1) return detail::global_mean_backward(g, dy, dx);
  detail::mean_backward(
      g, dy, dx, [&](Index oy, Index ox) { return adaptive_window(g, oy, ox); },
      [](const Window& win) { return win.area(); });
}

}  // namespace tenon::cpu
