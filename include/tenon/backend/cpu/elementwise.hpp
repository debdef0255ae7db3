// Elementwise kernels on the CPU: map, zip with broadcasting, fill, conversion and strided copies.
#pragma once

#include <algorithm>
#include <cstring>

#include "tenon/core/functors.hpp"
#include "tenon/core/geometry.hpp"
#include "tenon/core/scalar.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

// Below this many elements a second thread costs more than it brings.
inline constexpr Index elementwise_grain = 32768;

template <class T>
void fill(T* y, Index n, T value) {
  parallel_ranges(n, 4 * elementwise_grain, [=](Index begin, Index end) { std::fill(y + begin, y + end, value); });
}

template <class T>
void copy(const T* x, T* y, Index n) {
  parallel_ranges(n, 4 * elementwise_grain, [=](Index begin, Index end) {
    std::memcpy(y + begin, x + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
  });
}

// y[i] = op(x[i]); y may be x.
template <class Op, class T>
void map(Op op, const T* x, T* y, Index n) {
  parallel_ranges(n, elementwise_grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = static_cast<T>(op(static_cast<Wide<T>>(x[i])));
  });
}

// y[i] = op(a[i], b[i]); y may be a or b.
template <class Op, class T>
void zip(Op op, const T* a, const T* b, T* y, Index n) {
  parallel_ranges(n, elementwise_grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      y[i] = static_cast<T>(op(static_cast<Wide<T>>(a[i]), static_cast<Wide<T>>(b[i])));
    }
  });
}

// One innermost run of a broadcast: strides 0 or 1 get a loop of their own that vectorises.
template <class Op, class T>
void zip_run(Op op, const T* a, Index stride_a, const T* b, Index stride_b, T* y, Index n) {
  const auto apply = [op](T p, T q) { return static_cast<T>(op(static_cast<Wide<T>>(p), static_cast<Wide<T>>(q))); };
  if (stride_a == 1 && stride_b == 1) {
    for (Index i = 0; i < n; ++i) y[i] = apply(a[i], b[i]);
  } else if (stride_a == 1 && stride_b == 0) {
    const T value = *b;
    for (Index i = 0; i < n; ++i) y[i] = apply(a[i], value);
  } else if (stride_a == 0 && stride_b == 1) {
    const T value = *a;
    for (Index i = 0; i < n; ++i) y[i] = apply(value, b[i]);
  } else {
    for (Index i = 0; i < n; ++i) y[i] = apply(a[i * stride_a], b[i * stride_b]);
  }
}

// y (dense, g.extent) = op(a, b), each operand repeated along its zero strides.
template <class Op, class T>
void zip(Op op, const BroadcastGeometry& g, const T* a, const T* b, T* y) {
  const auto last = static_cast<std::size_t>(g.rank - 1);
  const Index run = g.extent[last];
  Index runs = 1;
  for (std::size_t d = 0; d < last; ++d) runs *= g.extent[d];
  if (run == 0 || runs == 0) return;
  parallel_ranges(runs, std::max<Index>(1, elementwise_grain / run), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      Index rest = r, at_a = 0, at_b = 0;
      for (std::size_t d = last; d-- > 0;) {
        const Index i = rest % g.extent[d];
        rest /= g.extent[d];
        at_a += i * g.stride_a[d];
        at_b += i * g.stride_b[d];
      }
      zip_run(op, a + at_a, g.stride_a[last], b + at_b, g.stride_b[last], y + r * run, run);
    }
  });
}

// Numbers of one type as another: through float for the 16-bit formats, towards zero for integers.
template <class From, class To>
void convert(const From* x, To* y, Index n) {
  parallel_ranges(n, elementwise_grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = static_cast<To>(static_cast<Wide<From>>(x[i]));
  });
}

template <class T>
void copy_strided(const StridedGeometry& g, const T* x, T* y) {
  const auto last = static_cast<std::size_t>(g.rank - 1);
  const Index run = g.extent[last];
  Index runs = 1;
  for (std::size_t d = 0; d < last; ++d) runs *= g.extent[d];
  if (run == 0 || runs == 0) return;
  parallel_ranges(runs, std::max<Index>(1, elementwise_grain / run), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      Index rest = r, at_x = g.x_offset, at_y = g.y_offset;
      for (std::size_t d = last; d-- > 0;) {
        const Index i = rest % g.extent[d];
        rest /= g.extent[d];
        at_x += i * g.stride_x[d];
        at_y += i * g.stride_y[d];
      }
      const Index sx = g.stride_x[last], sy = g.stride_y[last];
      if (sx == 1 && sy == 1) {
        std::memcpy(y + at_y, x + at_x, static_cast<std::size_t>(run) * sizeof(T));
      } else {
        for (Index i = 0; i < run; ++i) y[at_y + i * sy] = x[at_x + i * sx];
      }
    }
  });
}

// out += each of `pieces` arrays of `size`, in order: how sums over fixed pieces of work come together.
template <class T>
void add_pieces(Index pieces, Index size, const T* parts, T* out) {
  parallel_ranges(pieces > 0 ? size : 0, elementwise_grain, [=](Index begin, Index end) {
    for (Index piece = 0; piece < pieces; ++piece) {
      const T* more = parts + piece * size;
      for (Index i = begin; i < end; ++i) out[i] += more[i];
    }
  });
}

}  // namespace tenon::cpu
