// What Winograd's convolutions read and write: square windows of a batch of pictures, a register of channels
// a pixel.
#pragma once

#include <algorithm>

#include "tenon/backend/cpu/microkernel.hpp"
#include "tenon/backend/cpu/winograd_tiles.hpp"

namespace tenon::cpu {

// Places in memory, `step` values from one to the next. An address of x86 adds a register to another once, twice, four
// or eight times: with the odd multiples of the step in registers, no place takes an instruction of its own. They are
// hidden from the compiler, which would rather add up step by step, or work out all addresses of a square beforehand.
template <class T>
class Apart {
 public:
  explicit Apart(Index step)
      : one_(step * static_cast<Index>(sizeof(T))), three_(3 * one_), five_(5 * one_), seven_(7 * one_) {
    asm("" : "+r"(one_), "+r"(three_), "+r"(five_), "+r"(seven_));
  }

  // Number i from p on, 0 ≤ i ≤ 8.
  const T* of(const T* p, int i) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const char*>(p) + bytes(i));
  }
  T* of(T* p, int i) const { return const_cast<T*>(of(static_cast<const T*>(p), i)); }

 private:
  Index bytes(int i) const {
    if (i % 2 == 0) return i == 0 ? 0 : 2 * bytes(i / 2);
    return i == 1 ? one_ : i == 3 ? three_ : i == 5 ? five_ : seven_;
  }

  Index one_, three_, five_, seven_;
};

// As many registers from such places, or to them.
template <class T, class Isa, int Count>
[[gnu::always_inline]] inline void load_apart(const T* from, const Apart<T>& places, Vec<T, Isa>* values) {
  asm("" : "+r"(from));
#pragma GCC unroll 9
  for (int i = 0; i < Count; ++i) load<T, Isa>(places.of(from, i), values[i]);
}
template <class T, class Isa, int Count>
[[gnu::always_inline]] inline void store_apart(const Vec<T, Isa>* values, T* to, const Apart<T>& places) {
  asm("" : "+r"(to));
#pragma GCC unroll 9
  for (int i = 0; i < Count; ++i) store<T, Isa>(values[i], places.of(to, i));
}

// Reads or writes a square window of a picture batch, one register of channels a pixel; outside it is zero.
template <class T, class Isa, int Size>
struct PictureWindow {
  Index y, x;                      // of the window's first pixel, may lie outside
  Index top, bottom, left, right;  // the part that lies inside, within the window
  Index row, pixel;                // values from one to the next
  Apart<T> down, across;           // rows, and pixels
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
        down(row),
        across(pixel),
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
    Apart<T> rows = down;
    Index next = pixel;
    alignas(V) T copy[Size * Size * lanes_of<T, Isa>];
    if (!whole()) {
      copy_padded(from, copy);
      from = copy;
      rows = Apart<T>(Size * lanes_of<T, Isa>);
      next = lanes_of<T, Isa>;
    }
    apply_both_ways<Size, To, V>([&](int s, V* column) { load_apart<T, Isa, Size>(from + s * next, rows, column); },
                                 line, write);
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
  // Asks the second-level cache for the first `Count`² pixels below this window, which the windows of the next row will
  // want: the first one would lose them before. The processor's prefetchers do not see such a pattern: without this,
  // memory decides the speed.
  template <int Count>
  [[gnu::always_inline]] void ask_below(const T* data) const {
    const T* first = data + start + Size * row;
#pragma GCC unroll 8
    for (int r = 0; r < Count; ++r, first += row) {
      asm("" : "+r"(first));
#pragma GCC unroll 8
      for (int s = 0; s < Count; ++s) __builtin_prefetch(across.of(first, s), 0, 2);
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
        store_apart<T, Isa, Size>(values + r * Size, first + r * row, across);
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
    const Apart<T> positions(stride);
    window.template transform<F::points>(data, whole_line<F, V>(line), [&](int r, const V* row) {
      store_apart<T, Isa, F::points>(row, to + r * F::points * stride, positions);
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
    const Apart<T> rows(F::points * stride);
    apply_both_ways<F::points, F::outputs, V>(
        [&](int s, V* column) { load_apart<T, Isa, F::points>(from + s * stride, rows, column); },
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
