// Resampling of x (N,H,W,C) to (N,OH,OW,C): nearest and bilinear, with PyTorch's coordinates. A gradient
// looks up which outputs read its input: their sources rise with the output position, so they are one range.
#include "launch.cuh"

namespace tenon::cuda::kernels {

namespace {

// Where an output position reads: (1 - weight)·x[low] + weight·x[high].
struct Tap {
  Index low, high;
  double weight;
};

// Output positions [begin, end).
struct Range {
  Index begin, end;
};

struct Nearest {
  __device__ Tap tap(Index i, Index in, Index out) const { return {i * in / out, i * in / out, 0.0}; }
  __device__ Range readers(Index i, Index in, Index out) const {
    return {(i * out + in - 1) / in, ((i + 1) * out + in - 1) / in};
  }
};

// Pixel centres: position i is at (i + ½)·in/out - ½; with align_corners at i·(in-1)/(out-1).
struct Bilinear {
  bool align_corners;

  __device__ Tap tap(Index i, Index in, Index out) const {
    const double n_in = static_cast<double>(in), n_out = static_cast<double>(out),
                 at = static_cast<double>(i);
    double source = 0;
    if (align_corners) {
      source = out > 1 ? at * (n_in - 1) / (n_out - 1) : 0;
    } else {
      source = fmax(0.0, (at + 0.5) * n_in / n_out - 0.5);
    }
    const Index low = min(static_cast<Index>(source), in - 1);
    return {low, min(low + 1, in - 1), source - static_cast<double>(low)};
  }

  // Sources strictly between i-1 and i+1, and a position more on each side for the rounding; others get
  // weight 0.
  __device__ Range readers(Index i, Index in, Index out) const {
    double begin = 0, end = static_cast<double>(out);
    const double n_in = static_cast<double>(in), n_out = static_cast<double>(out),
                 at = static_cast<double>(i);
    if (!align_corners) {
      begin = floor((at - 0.5) * n_out / n_in - 0.5) - 1;
      if (i < in - 1) end = ceil((at + 1.5) * n_out / n_in - 0.5) + 2;
    } else if (in > 1) {
      begin = floor((at - 1) * (n_out - 1) / (n_in - 1)) - 1;
      if (i < in - 1) end = ceil((at + 1) * (n_out - 1) / (n_in - 1)) + 2;
    }
    return {static_cast<Index>(fmax(begin, 0.0)), static_cast<Index>(fmin(end, n_out))};
  }
};

template <class T>
__device__ T share(const Tap& tap, Index i) {
  return (tap.low == i ? T(1) - static_cast<T>(tap.weight) : T(0)) +
         (tap.high == i ? static_cast<T>(tap.weight) : T(0));
}

template <class Method, class T>
__global__ void __launch_bounds__(block_threads)
    resample_forward(ResizeGeometry g, Method method, const T* x, T* y) {
  for (Index at = first_element(); at < g.n * g.oh * g.ow * g.c; at += element_step()) {
    const Index c = at % g.c, n = at / g.c / g.ow / g.oh;
    const Tap ty = method.tap(at / g.c / g.ow % g.oh, g.h, g.oh), tx = method.tap(at / g.c % g.ow, g.w, g.ow);
    const T wy = static_cast<T>(ty.weight), wx = static_cast<T>(tx.weight);
    const T* picture = x + n * g.h * g.w * g.c + c;
    const T upper =
        (1 - wx) * picture[(ty.low * g.w + tx.low) * g.c] + wx * picture[(ty.low * g.w + tx.high) * g.c];
    const T lower =
        (1 - wx) * picture[(ty.high * g.w + tx.low) * g.c] + wx * picture[(ty.high * g.w + tx.high) * g.c];
    y[at] = (1 - wy) * upper + wy * lower;
  }
}

template <class Method, class T>
__global__ void __launch_bounds__(block_threads)
    resample_backward(ResizeGeometry g, Method method, const T* dy, T* dx) {
  for (Index at = first_element(); at < g.n * g.h * g.w * g.c; at += element_step()) {
    const Index c = at % g.c, ix = at / g.c % g.w, iy = at / g.c / g.w % g.h, n = at / g.c / g.w / g.h;
    const Range ys = method.readers(iy, g.h, g.oh), xs = method.readers(ix, g.w, g.ow);
    T sum = 0;
    for (Index oy = ys.begin; oy < ys.end; ++oy) {
      const T wy = share<T>(method.tap(oy, g.h, g.oh), iy);
      if (wy == T(0)) continue;
      for (Index ox = xs.begin; ox < xs.end; ++ox) {
        const T wx = share<T>(method.tap(ox, g.w, g.ow), ix);
        if (wx != T(0)) sum += wy * wx * dy[((n * g.oh + oy) * g.ow + ox) * g.c + c];
      }
    }
    dx[at] = sum;
  }
}

template <class Method, class T>
Status forward(Stream stream, const ResizeGeometry& g, Method method, const T* x, T* y) {
  const Index n = g.n * g.oh * g.ow * g.c;
  if (n <= 0) return cudaSuccess;
  resample_forward<<<blocks_for((n + block_threads - 1) / block_threads), block_threads, 0, stream>>>(
      g, method, x, y);
  return cudaGetLastError();
}

template <class Method, class T>
Status backward(Stream stream, const ResizeGeometry& g, Method method, const T* dy, T* dx) {
  const Index n = g.n * g.h * g.w * g.c;
  if (n <= 0) return cudaSuccess;
  resample_backward<<<blocks_for((n + block_threads - 1) / block_threads), block_threads, 0, stream>>>(
      g, method, dy, dx);
  return cudaGetLastError();
}

}  // namespace

template <class T>
Status upsample_nearest_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y) {
  return forward(stream, g, Nearest{}, x, y);
}
template <class T>
Status upsample_nearest_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx) {
  return backward(stream, g, Nearest{}, dy, dx);
}
template <class T>
Status upsample_bilinear_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y) {
  return forward(stream, g, Bilinear{g.align_corners}, x, y);
}
template <class T>
Status upsample_bilinear_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx) {
  return backward(stream, g, Bilinear{g.align_corners}, dy, dx);
}

#define INSTANTIATE(T)                                                                    \
  template Status upsample_nearest_forward(Stream, const ResizeGeometry&, const T*, T*);  \
  template Status upsample_nearest_backward(Stream, const ResizeGeometry&, const T*, T*); \
  template Status upsample_bilinear_forward(Stream, const ResizeGeometry&, const T*, T*); \
  template Status upsample_bilinear_backward(Stream, const ResizeGeometry&, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
