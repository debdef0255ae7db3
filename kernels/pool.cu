// Pooling of x (N,H,W,C): maximum, average and adaptive average. A thread a value of the result; the
// gradients look which windows hold their input, so that nothing is added by two threads and the order is
// fixed.
#include "launch.cuh"

namespace tenon::cuda::kernels {

namespace {

// Positions [begin, end) of one axis.
struct Range {
  Index begin, end;
  __device__ Index size() const { return end - begin; }
};

// What position i sees of an axis of `in` elements, cut to the picture.
__device__ Range window(Index i, Index in, Index kernel, Index stride, Index pad) {
  const Index first = i * stride - pad;
  return {max(first, Index{0}), min(first + kernel, in)};
}

// Which of `out` windows hold position i.
__device__ Range windows_at(Index i, Index out, Index kernel, Index stride, Index pad) {
  const Index beyond = i + pad - kernel;  // the last window start that ends before i
  return {beyond < 0 ? 0 : beyond / stride + 1, min((i + pad) / stride + 1, out)};
}

// Window i of `out` over `in` positions runs from floor(i·in/out) to ceil((i+1)·in/out), as in PyTorch.
__device__ Range adaptive_window(Index i, Index in, Index out) {
  return {i * in / out, ((i + 1) * in + out - 1) / out};
}

__device__ Range adaptive_windows_at(Index i, Index in, Index out) {
  return {i * out / in, ((i + 1) * out + in - 1) / in};
}

// The four coordinates of element `at` of an (n,h,w,c) array.
struct Place {
  Index n, y, x, c;
  __device__ Place(Index at, Index h, Index w, Index channels)
      : n(at / channels / w / h), y(at / channels / w % h), x(at / channels % w), c(at % channels) {}
};

}  // namespace

template <class T, class I>
Status max_pool_forward(Stream stream, const Pool2dGeometry& g, const T* x, T* y, I* index) {
  return launch_each(stream, g.n * g.oh * g.ow * g.c, [=] __device__(Index at) {
    const Place p(at, g.oh, g.ow, g.c);
    const Range ys = window(p.y, g.h, g.kh, g.stride_h, g.pad_h),
                xs = window(p.x, g.w, g.kw, g.stride_w, g.pad_w);
    const T* picture = x + p.n * g.h * g.w * g.c + p.c;
    Index where = ys.begin * g.w + xs.begin;
    T best = picture[where * g.c];
    for (Index iy = ys.begin; iy < ys.end; ++iy) {
      for (Index ix = xs.begin; ix < xs.end; ++ix) {
        const T value = picture[(iy * g.w + ix) * g.c];
        if (!(value <= best) && best == best) {  // a NaN wins and stays
          best = value;
          where = iy * g.w + ix;
        }
      }
    }
    y[at] = best;
    const Index tap_y = where / g.w - (p.y * g.stride_h - g.pad_h);
    const Index tap_x = where % g.w - (p.x * g.stride_w - g.pad_w);
    index[at] = static_cast<I>(tap_y * g.kw + tap_x);
  });
}

template <class T, class I>
Status max_pool_backward(Stream stream, const Pool2dGeometry& g, const T* dy, const I* index, T* dx) {
  return launch_each(stream, g.n * g.h * g.w * g.c, [=] __device__(Index at) {
    const Place p(at, g.h, g.w, g.c);
    const Range ys = windows_at(p.y, g.oh, g.kh, g.stride_h, g.pad_h);
    const Range xs = windows_at(p.x, g.ow, g.kw, g.stride_w, g.pad_w);
    T sum = 0;
    for (Index oy = ys.begin; oy < ys.end; ++oy) {
      for (Index ox = xs.begin; ox < xs.end; ++ox) {
        const Index out = ((p.n * g.oh + oy) * g.ow + ox) * g.c + p.c;
        const Index tap_y = p.y + g.pad_h - oy * g.stride_h, tap_x = p.x + g.pad_w - ox * g.stride_w;
        if (static_cast<Index>(index[out]) == tap_y * g.kw + tap_x) sum += dy[out];
      }
    }
    dx[at] = sum;
  });
}

// Padding counts as zeros in the mean (PyTorch's count_include_pad = true).
template <class T>
Status avg_pool_forward(Stream stream, const Pool2dGeometry& g, const T* x, T* y) {
  const T scale = T(1) / static_cast<T>(g.kh * g.kw);
  return launch_each(stream, g.n * g.oh * g.ow * g.c, [=] __device__(Index at) {
    const Place p(at, g.oh, g.ow, g.c);
    const Range ys = window(p.y, g.h, g.kh, g.stride_h, g.pad_h),
                xs = window(p.x, g.w, g.kw, g.stride_w, g.pad_w);
    T sum = 0;
    for (Index iy = ys.begin; iy < ys.end; ++iy) {
      for (Index ix = xs.begin; ix < xs.end; ++ix) sum += x[((p.n * g.h + iy) * g.w + ix) * g.c + p.c];
    }
    y[at] = sum * scale;
  });
}

template <class T>
Status avg_pool_backward(Stream stream, const Pool2dGeometry& g, const T* dy, T* dx) {
  const T scale = T(1) / static_cast<T>(g.kh * g.kw);
  return launch_each(stream, g.n * g.h * g.w * g.c, [=] __device__(Index at) {
    const Place p(at, g.h, g.w, g.c);
    const Range ys = windows_at(p.y, g.oh, g.kh, g.stride_h, g.pad_h);
    const Range xs = windows_at(p.x, g.ow, g.kw, g.stride_w, g.pad_w);
    T sum = 0;
    for (Index oy = ys.begin; oy < ys.end; ++oy) {
      for (Index ox = xs.begin; ox < xs.end; ++ox) sum += dy[((p.n * g.oh + oy) * g.ow + ox) * g.c + p.c];
    }
    dx[at] = sum * scale;
  });
}

template <class T>
Status adaptive_avg_pool_forward(Stream stream, const ResizeGeometry& g, const T* x, T* y) {
  return launch_each(stream, g.n * g.oh * g.ow * g.c, [=] __device__(Index at) {
    const Place p(at, g.oh, g.ow, g.c);
    const Range ys = adaptive_window(p.y, g.h, g.oh), xs = adaptive_window(p.x, g.w, g.ow);
    T sum = 0;
    for (Index iy = ys.begin; iy < ys.end; ++iy) {
      for (Index ix = xs.begin; ix < xs.end; ++ix) sum += x[((p.n * g.h + iy) * g.w + ix) * g.c + p.c];
    }
    y[at] = sum / static_cast<T>(ys.size() * xs.size());
  });
}

template <class T>
Status adaptive_avg_pool_backward(Stream stream, const ResizeGeometry& g, const T* dy, T* dx) {
  return launch_each(stream, g.n * g.h * g.w * g.c, [=] __device__(Index at) {
    const Place p(at, g.h, g.w, g.c);
    const Range ys = adaptive_windows_at(p.y, g.h, g.oh), xs = adaptive_windows_at(p.x, g.w, g.ow);
    T sum = 0;
    for (Index oy = ys.begin; oy < ys.end; ++oy) {
      for (Index ox = xs.begin; ox < xs.end; ++ox) {
        const Index area = adaptive_window(oy, g.h, g.oh).size() * adaptive_window(ox, g.w, g.ow).size();
        sum += dy[((p.n * g.oh + oy) * g.ow + ox) * g.c + p.c] / static_cast<T>(area);
      }
    }
    dx[at] = sum;
  });
}

#define INSTANTIATE(T)                                                                                 \
  template Status max_pool_forward(Stream, const Pool2dGeometry&, const T*, T*, std::uint8_t*);        \
  template Status max_pool_forward(Stream, const Pool2dGeometry&, const T*, T*, std::int32_t*);        \
  template Status max_pool_backward(Stream, const Pool2dGeometry&, const T*, const std::uint8_t*, T*); \
  template Status max_pool_backward(Stream, const Pool2dGeometry&, const T*, const std::int32_t*, T*); \
  template Status avg_pool_forward(Stream, const Pool2dGeometry&, const T*, T*);                       \
  template Status avg_pool_backward(Stream, const Pool2dGeometry&, const T*, T*);                      \
  template Status adaptive_avg_pool_forward(Stream, const ResizeGeometry&, const T*, T*);              \
  template Status adaptive_avg_pool_backward(Stream, const ResizeGeometry&, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
