// Pooling on the CPU: maximum, average and adaptive average over windows of x (N,H,W,C), and their gradients.
// Channels lie side by side, so every loop over c is a vector loop.
#pragma once

#include <cstdint>

#include "tenon/backend/cpu/elementwise.hpp"

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
  return {oy * g.h / g.oh, ((oy + 1) * g.h + g.oh - 1) / g.oh, ox * g.w / g.ow, ((ox + 1) * g.w + g.ow - 1) / g.ow};
}

// y (N,OH,OW,C) and, for the gradient, where each maximum came from: the position iy·W + ix in its picture.
// The first of equal values is taken, and a NaN before any number.
template <class T>
void max_pool_forward(const Pool2dGeometry& g, const T* x, T* y, std::int32_t* index) {
  parallel_ranges(g.n * g.oh, std::max<Index>(1, elementwise_grain / (g.ow * g.c * g.kh * g.kw)),
                  [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* picture = x + r / g.oh * g.h * g.w * g.c;
      for (Index ox = 0; ox < g.ow; ++ox) {
        const Window win = pool_window(g, r % g.oh, ox);
        T* __restrict best = y + (r * g.ow + ox) * g.c;
        std::int32_t* __restrict where = index + (r * g.ow + ox) * g.c;
        const auto start = static_cast<std::int32_t>(win.y0 * g.w + win.x0);
        std::copy_n(picture + start * g.c, g.c, best);
        std::fill_n(where, g.c, start);
        for (Index iy = win.y0; iy < win.y1; ++iy) {
          for (Index ix = win.x0; ix < win.x1; ++ix) {
            const auto at = static_cast<std::int32_t>(iy * g.w + ix);
            const T* __restrict value = picture + at * g.c;
            for (Index c = 0; c < g.c; ++c) {
              const bool better = !(value[c] <= best[c]) && best[c] == best[c];
              best[c] = better ? value[c] : best[c];
              where[c] = better ? at : where[c];
            }
          }
        }
      }
    }
  });
}

template <class T>
void max_pool_backward(const Pool2dGeometry& g, const T* dy, const std::int32_t* index, T* dx) {
  parallel_for(g.n, [&](Index n) {
    T* picture = dx + n * g.h * g.w * g.c;
    std::fill_n(picture, g.h * g.w * g.c, T(0));
    for (Index p = n * g.oh * g.ow; p < (n + 1) * g.oh * g.ow; ++p) {
      for (Index c = 0; c < g.c; ++c) picture[index[p * g.c + c] * g.c + c] += dy[p * g.c + c];
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
  detail::mean_forward(g, x, y, [&](Index oy, Index ox) { return pool_window(g, oy, ox); },
                       [&](const Window&) { return g.kh * g.kw; });
}

template <class T>
void avg_pool_backward(const Pool2dGeometry& g, const T* dy, T* dx) {
  detail::mean_backward(g, dy, dx, [&](Index oy, Index ox) { return pool_window(g, oy, ox); },
                        [&](const Window&) { return g.kh * g.kw; });
}

template <class T>
void adaptive_avg_pool_forward(const ResizeGeometry& g, const T* x, T* y) {
  detail::mean_forward(g, x, y, [&](Index oy, Index ox) { return adaptive_window(g, oy, ox); },
                       [](const Window& win) { return win.area(); });
}

template <class T>
void adaptive_avg_pool_backward(const ResizeGeometry& g, const T* dy, T* dx) {
  detail::mean_backward(g, dy, dx, [&](Index oy, Index ox) { return adaptive_window(g, oy, ox); },
                        [](const Window& win) { return win.area(); });
}

}  // namespace tenon::cpu
