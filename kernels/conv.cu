// Convolution as plain sums, a thread (or for the weights a block) an output value: for double and for what
// cuDNN declines. x (N,H,W,C), w (O,KH,KW,C/groups), y (N,OH,OW,O).
#include "launch.cuh"
#include "tenon/core/functors.hpp"

namespace tenon::cuda::kernels {

template <class T>
Status conv2d_forward(Stream stream, const Conv2dGeometry& g, const T* x, const T* w, T* y) {
  const Index cg = g.c / g.groups, og = g.o / g.groups;
  return launch_each(stream, g.n * g.oh * g.ow * g.o, [=] __device__(Index at) {
    const Index o = at % g.o, ox = at / g.o % g.ow, oy = at / g.o / g.ow % g.oh, n = at / g.o / g.ow / g.oh;
    Wide<T> sum = 0;
    for (Index ky = 0; ky < g.kh; ++ky) {
      const Index iy = oy * g.stride_h + ky * g.dilation_h - g.pad_h;
      if (iy < 0 || iy >= g.h) continue;
      for (Index kx = 0; kx < g.kw; ++kx) {
        const Index ix = ox * g.stride_w + kx * g.dilation_w - g.pad_w;
        if (ix < 0 || ix >= g.w) continue;
        const T* values = x + ((n * g.h + iy) * g.w + ix) * g.c + o / og * cg;
        const T* weights = w + ((o * g.kh + ky) * g.kw + kx) * cg;
        for (Index c = 0; c < cg; ++c) sum += widen(values[c]) * widen(weights[c]);
      }
    }
    y[at] = narrow<T>(sum);
  });
}

// Input (iy, ix) met tap (ky, kx) at the output whose stride leads there, if there is one.
template <class T>
Status conv2d_backward_data(Stream stream, const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  const Index cg = g.c / g.groups, og = g.o / g.groups;
  return launch_each(stream, g.n * g.h * g.w * g.c, [=] __device__(Index at) {
    const Index c = at % g.c, ix = at / g.c % g.w, iy = at / g.c / g.w % g.h, n = at / g.c / g.w / g.h;
    const Index first_o = c / cg * og;
    Wide<T> sum = 0;
    for (Index ky = 0; ky < g.kh; ++ky) {
      const Index down = iy + g.pad_h - ky * g.dilation_h, oy = down / g.stride_h;
      if (down < 0 || down % g.stride_h != 0 || oy >= g.oh) continue;
      for (Index kx = 0; kx < g.kw; ++kx) {
        const Index right = ix + g.pad_w - kx * g.dilation_w, ox = right / g.stride_w;
        if (right < 0 || right % g.stride_w != 0 || ox >= g.ow) continue;
        const T* gradient = dy + ((n * g.oh + oy) * g.ow + ox) * g.o;
        for (Index o = first_o; o < first_o + og; ++o) {
          sum += widen(gradient[o]) * widen(w[((o * g.kh + ky) * g.kw + kx) * cg + c % cg]);
        }
      }
    }
    dx[at] = narrow<T>(sum);
  });
}

namespace {

template <class T>
__global__ void __launch_bounds__(block_threads)
    backward_weights(Conv2dGeometry g, const T* x, const T* dy, T* dw) {
  __shared__ Wide<T> shared[block_threads];
  const Index cg = g.c / g.groups, og = g.o / g.groups, outputs = g.n * g.oh * g.ow;
  for (Index at = blockIdx.x; at < g.o * g.kh * g.kw * cg; at += gridDim.x) {
    const Index c = at % cg, kx = at / cg % g.kw, ky = at / cg / g.kw % g.kh, o = at / cg / g.kw / g.kh;
    Wide<T> sum = 0;
    for (Index p = threadIdx.x; p < outputs; p += block_threads) {
      const Index ox = p % g.ow, oy = p / g.ow % g.oh, n = p / g.ow / g.oh;
      const Index iy = oy * g.stride_h + ky * g.dilation_h - g.pad_h;
      const Index ix = ox * g.stride_w + kx * g.dilation_w - g.pad_w;
      if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w) continue;
      sum += widen(x[((n * g.h + iy) * g.w + ix) * g.c + o / og * cg + c]) * widen(dy[p * g.o + o]);
    }
    sum = column_reduce(fn::Add{}, sum, 1, shared);
    if (threadIdx.x == 0) dw[at] = narrow<T>(sum);
  }
}

}  // namespace

template <class T>
Status conv2d_backward_weights(Stream stream, const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  const Index weights = g.o * g.taps();
  if (weights <= 0) return cudaSuccess;
  backward_weights<<<blocks_for(weights), block_threads, 0, stream>>>(g, x, dy, dw);
  return cudaGetLastError();
}

#define INSTANTIATE(T)                                                                         \
  template Status conv2d_forward(Stream, const Conv2dGeometry&, const T*, const T*, T*);       \
  template Status conv2d_backward_data(Stream, const Conv2dGeometry&, const T*, const T*, T*); \
  template Status conv2d_backward_weights(Stream, const Conv2dGeometry&, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(half)
INSTANTIATE(bfloat16)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
