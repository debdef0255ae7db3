// Resampling of x (N,H,W,C) to (N,OH,OW,C) on the CPU: nearest and bilinear, with PyTorch's coordinates.
#pragma once

#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

namespace detail {

// Where output position i reads: (1 - weight)·x[low] + weight·x[high].
struct Tap {
  Index low, high;
  double weight;
};

inline std::vector<Tap> nearest_taps(Index in, Index out) {
  std::vector<Tap> taps;
  for (Index i = 0; i < out; ++i) taps.push_back({i * in / out, i * in / out, 0.0});
  return taps;
}

// Pixel centres: position i is at (i + ½)·in/out - ½; with align_corners at i·(in-1)/(out-1).
inline std::vector<Tap> linear_taps(Index in, Index out, bool align_corners) {
  std::vector<Tap> taps;
  for (Index i = 0; i < out; ++i) {
    const double n_in = static_cast<double>(in), n_out = static_cast<double>(out), at = static_cast<double>(i);
    double source = 0;
    if (align_corners) {
      source = out > 1 ? at * (n_in - 1) / (n_out - 1) : 0;
    } else {
      source = std::max(0.0, (at + 0.5) * n_in / n_out - 0.5);
    }
    const Index low = std::min(static_cast<Index>(source), in - 1);
    taps.push_back({low, std::min(low + 1, in - 1), source - static_cast<double>(low)});
  }
  return taps;
}

template <class T>
void resample_forward(const ResizeGeometry& g, const std::vector<Tap>& ys, const std::vector<Tap>& xs, const T* x,
                      T* y) {
  parallel_for(g.n, [&](Index n) {
    const T* picture = x + n * g.h * g.w * g.c;
    T* out = y + n * g.oh * g.ow * g.c;
    for (const Tap& ty : ys) {
      const T wy = static_cast<T>(ty.weight);
      for (const Tap& tx : xs) {
        const T wx = static_cast<T>(tx.weight);
        const T* a = picture + (ty.low * g.w + tx.low) * g.c;
        const T* b = picture + (ty.low * g.w + tx.high) * g.c;
        const T* c = picture + (ty.high * g.w + tx.low) * g.c;
        const T* d = picture + (ty.high * g.w + tx.high) * g.c;
        for (Index i = 0; i < g.c; ++i) {
          out[i] = (1 - wy) * ((1 - wx) * a[i] + wx * b[i]) + wy * ((1 - wx) * c[i] + wx * d[i]);
        }
        out += g.c;
      }
    }
  });
}

template <class T>
void resample_backward(const ResizeGeometry& g, const std::vector<Tap>& ys, const std::vector<Tap>& xs, const T* dy,
                       T* dx) {
  parallel_for(g.n, [&](Index n) {
    T* picture = dx + n * g.h * g.w * g.c;
    const T* in = dy + n * g.oh * g.ow * g.c;
    std::fill_n(picture, g.h * g.w * g.c, T(0));
    for (const Tap& ty : ys) {
      const T wy = static_cast<T>(ty.weight);
      for (const Tap& tx : xs) {
        const T wx = static_cast<T>(tx.weight);
        for (Index i = 0; i < g.c; ++i) {
          picture[(ty.low * g.w + tx.low) * g.c + i] += (1 - wy) * (1 - wx) * in[i];
          picture[(ty.low * g.w + tx.high) * g.c + i] += (1 - wy) * wx * in[i];
          picture[(ty.high * g.w + tx.low) * g.c + i] += wy * (1 - wx) * in[i];
          picture[(ty.high * g.w + tx.high) * g.c + i] += wy * wx * in[i];
        }
        in += g.c;
      }
    }
  });
}

}  // namespace detail

template <class T>
void upsample_nearest_forward(const ResizeGeometry& g, const T* x, T* y) {
  detail::resample_forward(g, detail::nearest_taps(g.h, g.oh), detail::nearest_taps(g.w, g.ow), x, y);
}

template <class T>
void upsample_nearest_backward(const ResizeGeometry& g, const T* dy, T* dx) {
  detail::resample_backward(g, detail::nearest_taps(g.h, g.oh), detail::nearest_taps(g.w, g.ow), dy, dx);
}

template <class T>
void upsample_bilinear_forward(const ResizeGeometry& g, const T* x, T* y) {
  detail::resample_forward(g, detail::linear_taps(g.h, g.oh, g.align_corners),
                           detail::linear_taps(g.w, g.ow, g.align_corners), x, y);
}

template <class T>
void upsample_bilinear_backward(const ResizeGeometry& g, const T* dy, T* dx) {
  detail::resample_backward(g, detail::linear_taps(g.h, g.oh, g.align_corners),
                            detail::linear_taps(g.w, g.ow, g.align_corners), dy, dx);
}

}  // namespace tenon::cpu
