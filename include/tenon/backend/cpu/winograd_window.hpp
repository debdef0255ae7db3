// What Winograd's convolutions read and write: square windows of a batch of pictures, a register of channels
// a pixel.
#pragma once

#include <algorithm>

#include "tenon/backend/cpu/microkernel.hpp"
#include "tenon/backend/cpu/winograd_tiles.hpp"

namespace tenon::cpu {

// Registers that are `step` values apart in memory. The first address is hidden from the compiler: it would
// rather work out all the addresses of a square beforehand, for which there are not enough registers.
template <class T, class Isa, int Count>
[[gnu::always_inline]] inline void load_apart(const T* from, Index step, Vec<T, Isa>* values) {
  asm("" : "+r"(from));
#pragma GCC unroll 9
  for (int i = 0; i < Count; ++i) load<T, Isa>(from + i * step, values[i]);
}
template <class T, class Isa, int Count>
[[gnu::always_inline]] inline void store_apart(const Vec<T, Isa>* values, T* to, Index step) {
  asm("" : "+r"(to));
#pragma GCC unroll 9
  for (int i = 0; i < Count; ++i) store<T, Isa>(values[i], to + i * step);
}

// Reads or writes a square window of a picture batch, one register of channels a pixel; outside it is zero.
template <class T, class Isa, int Size>
struct PictureWindow {
  Index y, x;                      // of the window's first pixel, may lie outside
  Index top, bottom, left, right;  // the part that lies inside, within the window
  Index row, pixel;                // values from one to the next
  Index start;                     // of the window's first pixel in the batch

  PictureWindow(Index picture, Index first_y, Index first_x, Index h, Index w, Index c)
      : y(first_y),
        x(first_x),
        top(std::max<Index>(0, -y)),
        bottom(std::min<Index>(Size, h - y)),
        left(std::max<Index>(0, -x)),
        right(std::min<Index>(Size, w - x)),
        row(w * c),
        pixel(c),
        start(((picture * h + y) * w + x) * c) {}
  bool whole() const { return top == 0 && left == 0 && bottom == Size && right == Size; }

  [[gnu::always_inline]] void read(const T* data, Vec<T, Isa>* values) const {
    const T* first = data + start;
    if (whole()) {
#pragma GCC unroll 9
      for (Index r = 0; r < Size; ++r) {
#pragma GCC unroll 9
        for (Index s = 0; s < Size; ++s) load<T, Isa>(first + r * row + s * pixel, values[r * Size + s]);
      }
      return;
    }
    for (int i = 0; i < Size * Size; ++i) values[i] = Vec<T, Isa>{};
    for (Index r = top; r < bottom; ++r) {
      for (Index s = left; s < right; ++s) load<T, Isa>(first + r * row + s * pixel, values[r * Size + s]);
    }
  }
  // The transform of the window by `line` (Size → To values), to write(y, const V* row). A window with pixels
  // outside is copied first, with zeros for those.
  template <int To, class Line, class Write>
  [[gnu::always_inline]] void transform(const T* data, const Line& line, const Write& write) const {
    using V = Vec<T, Isa>;
    const T* from = data + start;
    Index down = row, across = pixel;
    alignas(V) T copy[Size * Size * lanes_of<T, Isa>];
    if (!whole()) {
      copy_padded(from, copy);
      from = copy;
      down = Size * lanes_of<T, Isa>;
      across = lanes_of<T, Isa>;
    }
    apply_both_ways<Size, To, V>(
        [&](int s, V* column) { load_apart<T, Isa, Size>(from + s * across, down, column); }, line, write);
  }
  [[gnu::always_inline]] void copy_padded(const T* from, T* to) const {
    for (Index r = 0; r < Size; ++r) {
      for (Index s = 0; s < Size; ++s, to += lanes_of<T, Isa>) {
        Vec<T, Isa> v{};
        if (r >= top && r < bottom && s >= left && s < right) load<T, Isa>(from + r * row + s * pixel, v);
        store<T, Isa>(v, to);
      }
    }
  }
  // Asks for the first `count`² pixels below this window, which the windows of the next row will want. The
  // processor's prefetchers do not see such a pattern: without this, memory decides the speed.
  template <bool Write>
  [[gnu::always_inline]] void ask_below(const T* data, int count) const {
    const T* first = data + start + Size * row;
    for (int r = 0; r < count; ++r) {
      for (int s = 0; s < count; ++s) __builtin_prefetch(first + r * row + s * pixel, Write, 3);
    }
  }
  // use(value) for those that lie inside.
  template <class Use>
  [[gnu::always_inline]] void each_inside(const Vec<T, Isa>* values, const Use& use) const {
    const bool all = whole();
#pragma GCC unroll 9
    for (int r = 0; r < Size; ++r) {
      if (!all && (r < top || r >= bottom)) continue;
#pragma GCC unroll 9
      for (int s = 0; s < Size; ++s) {
        if (all || (s >= left && s < right)) use(values[r * Size + s]);
      }
    }
  }
  [[gnu::always_inline]] void write(const Vec<T, Isa>* values, T* data) const {
    T* first = data + start;
    const bool all = whole();
#pragma GCC unroll 9
    for (int r = 0; r < Size; ++r) {
      if (all) {
        store_apart<T, Isa, Size>(values + r * Size, first + r * row, pixel);
        continue;
      }
      if (r < top || r >= bottom) continue;
#pragma GCC unroll 9
      for (int s = 0; s < Size; ++s) {
        if (s >= left && s < right) store<T, Isa>(values[r * Size + s], first + r * row + s * pixel);
      }
    }
  }
};

// line(count, from, to) for a tile's steps, or for fewer.
template <class F, class V, class Line>
auto line_of(int steps, const Line& line) {
  return [steps, &line](const V* from, V* to) __attribute__((always_inline)) {
    with_steps<F>(steps, [&](auto count) __attribute__((always_inline)) { line(count, from, to); });
  };
}
template <class F, class V, class Line>
auto whole_line(const Line& line) {
  return [&line](const V* from, V* to) __attribute__((always_inline)) {
    line(std::integral_constant<int, F::steps>{}, from, to);
  };
}

// Transforms the window of a tile of this kind by `line`; the values of its positions go to to[position·stride].
template <class T, class Isa, class F, bool Whole, int Size, class Line>
[[gnu::always_inline]] inline void transform_tile(const PictureWindow<T, Isa, Size>& window,
                                                  const typename WinogradTiles<F>::Kind& kind, const T* data,
                                                  T* to, Index stride, const Line& line) {
  using V = Vec<T, Isa>;
  if constexpr (Whole) {
    window.template transform<F::points>(data, whole_line<F, V>(line), [&](int r, const V* row) {
      store_apart<T, Isa, F::points>(row, to + r * F::points * stride, stride);
    });
  } else {
    constexpr int lanes = lanes_of<T, Isa>;
    alignas(V) T copy[Size * Size * lanes];
    window.copy_padded(data + window.start, copy);
    apply_short<Size, F::points, V>(
        [&](int y, int x, V& v) { load<T, Isa>(copy + (y * Size + x) * lanes, v); },
        line_of<F, V>(kind.steps_down, line), line_of<F, V>(kind.steps_across, line),
        [&](int r, int s, const V& v) {
          if (kind.takes(r * F::points + s)) store<T, Isa>(v, to + (r * F::points + s) * stride);
        });
  }
}

// The way back: from the values of the positions to the outputs of a tile.
template <class T, class Isa, class F, bool Whole, class Line>
[[gnu::always_inline]] inline void transform_back(const typename WinogradTiles<F>::Kind& kind, const T* from,
                                                  Index stride, const Line& line, Vec<T, Isa>* values) {
  using V = Vec<T, Isa>;
  if constexpr (Whole) {
    apply_both_ways<F::points, F::outputs, V>(
        [&](int s, V* column) { load_apart<T, Isa, F::points>(from + s * stride, F::points * stride, column); },
        whole_line<F, V>(line),
        [&](int r, const V* row) {
#pragma GCC unroll 8
          for (int s = 0; s < F::outputs; ++s) values[r * F::outputs + s] = row[s];
        });
  } else {
    apply_short<F::points, F::outputs, V>(
        [&](int r, int s, V& v) {
          v = V{};
          if (kind.takes(r * F::points + s)) load<T, Isa>(from + (r * F::points + s) * stride, v);
        },
        line_of<F, V>(kind.steps_down, line), line_of<F, V>(kind.steps_across, line),
        [&](int r, int s, const V& v) { values[r * F::outputs + s] = v; });
  }
}

// Values between the matrices of neighbouring positions: not a multiple of 4 KB, which would send all to one
// cache set.
inline Index winograd_stride(Index values) { return values + row_runs; }

}  // namespace tenon::cpu
