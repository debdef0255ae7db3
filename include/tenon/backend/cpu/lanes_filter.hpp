// Convolution with few channels and windows five wide, by minimal filtering along the lines: F(4,5), four
// outputs from eight products instead of twenty (Winograd 1980, "Arithmetic complexity of computations";
// Lavin & Gray 2016).
//
// With pictures in the lanes a transform along a line is a few additions of registers. What is left for each
// of the eight points and each tile is a convolution down its column, a window one wide: the plain loops of
// lanes.hpp, on pictures that are stored column by column. A NaN reaches all outputs of its tile, and no
// other picture.
#pragma once

#include <concepts>
#include <vector>

#include "tenon/backend/cpu/lanes.hpp"
#include "tenon/backend/cpu/scratch.hpp"

namespace tenon::cpu {

// The transforms, by interpolation at 0, ±1, ±2, ±1/2 and ∞.
struct LineFilter {
  static constexpr int outputs = 4, taps = 5, points = 8;

  template <class V>
  [[gnu::always_inline]] static void input(const V* d, V* v) {  // v (8) = Bᵀ d (8)
    const V even1 = d[6] - 4.25f * d[4] + d[2], odd1 = d[5] - 4.25f * d[3] + d[1];
    const V even2 = d[6] - 1.25f * d[4] + 0.25f * d[2], odd2 = 2.0f * d[5] - 2.5f * d[3] + 0.5f * d[1];
    const V even3 = d[6] - 5.0f * d[4] + 4.0f * d[2], odd3 = 0.5f * d[5] - 2.5f * d[3] + 2.0f * d[1];
    v[0] = (d[6] - d[0]) + 5.25f * (d[2] - d[4]);
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = even3 + odd3;
    v[6] = even3 - odd3;
    v[7] = (d[7] - d[1]) + 5.25f * (d[3] - d[5]);
  }
  template <class V>
  [[gnu::always_inline]] static void output(const V* m, V* y) {  // y (4) = Aᵀ m (8)
    const V sum1 = m[1] + m[2], sum2 = m[3] + m[4], sum3 = m[5] + m[6];
    const V difference1 = m[1] - m[2], difference2 = m[3] - m[4], difference3 = m[5] - m[6];
    y[0] = m[0] + sum1 + sum2 + sum3;
    y[1] = difference1 + 2.0f * difference2 + 0.5f * difference3;
    y[2] = sum1 + 4.0f * sum2 + 0.25f * sum3;
    y[3] = difference1 + 8.0f * difference2 + 0.125f * difference3 + m[7];
  }
  template <class V>
  [[gnu::always_inline]] static void spread(const V* y, V* m) {  // m (8) = A y (4)
    const V even1 = y[0] + y[2], odd1 = y[1] + y[3];
    const V even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    const V even3 = y[0] + 0.25f * y[2], odd3 = 0.5f * y[1] + 0.125f * y[3];
    m[0] = y[0];
    m[1] = even1 + odd1;
    m[2] = even1 - odd1;
    m[3] = even2 + odd2;
    m[4] = even2 - odd2;
    m[5] = even3 + odd3;
    m[6] = even3 - odd3;
    m[7] = y[3];
  }
  // The factor of tap k at a point: G, (8,5).
  static constexpr double filter(int point, int k) {
    constexpr double at[] = {0, 1, -1, 2, -2, 0.5, -0.5};
    constexpr double scale[] = {-1, -2 / 9.0, -2 / 9.0, 1 / 90.0, 1 / 90.0, 32 / 45.0, 32 / 45.0};
    if (point == points - 1) return k == taps - 1 ? 1 : 0;
    double power = scale[point];
    for (int i = 0; i < k; ++i) power *= at[point];
    return power;
  }

  static Index tiles(Index width) { return (width + outputs - 1) / outputs; }
};

// Whether that takes less time than the plain loops: for float, which can bear the rounding. `width` is that
// of the outputs; the plain loops skip what lies beyond the inputs, as if there were only `reached` of them.
// Transforming a tile takes as long as 35 multiply-adds for an input channel and 45 for an output channel.
template <class T>
bool line_filter_pays(Index kernel_h, Index kernel_w, Index in, Index out, Index width, Index reached) {
  const Index pairs = kernel_h * in * out, tiles = LineFilter::tiles(width);
  const Index filtered = tiles * (LineFilter::points * pairs + 35 * in + 45 * out);
  return std::same_as<T, float> && kernel_w == LineFilter::taps &&
         10 * filtered <= 9 * LineFilter::taps * reached * pairs;
}

// Columns of zeros that the last tile needs beyond the pictures' own.
inline Index line_filter_margin(Index width) {
  return LineFilter::tiles(width) * LineFilter::outputs - width;
}

// Transformed pictures: for each point and each tile of a line its column, which is a line here, with
// `margin` zeros at either end.
template <class T, class Isa>
struct FilteredColumns {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;

  Index tiles, h, c, margin;
  T* data;

  static Index room(Index tiles, Index h, Index c, Index margin) {
    return LineFilter::points * InterleavedPictures<T, Isa>::room(tiles, h, c, margin);
  }
  InterleavedPictures<T, Isa> point(Index i) const { return {tiles, h, c, margin, data + i * plane()}; }

  // From `Inputs` columns of x for each tile, beginning with column `first`.
  template <int Inputs, class Transform>
  [[gnu::always_inline]] void make(const InterleavedPictures<T, Isa>& x, Index first,
                                   const Transform& transform) const {
    const Index apart = plane();
    for (Index i = 0; i < LineFilter::points; ++i) point(i).clear_margins();
    for (Index t = 0; t < tiles; ++t) {
      for (Index y = 0; y < h; ++y) {
        const T* from = x.at(y, first + t * LineFilter::outputs);
        T* to = point(0).at(t, y);
        for (Index i = 0; i < c * lanes; i += lanes) {
          V values[Inputs], transformed[LineFilter::points];
#pragma GCC unroll 8
          for (int k = 0; k < Inputs; ++k) load<T, Isa>(from + k * c * lanes + i, values[k]);
          transform(values, transformed);
          to_points(transformed, to + i, apart);
        }
      }
    }
  }

  // Channel o of line y of a tile from the four outputs there …
  [[gnu::always_inline]] void put(Index tile, Index y, Index o, const V* outputs) const {
    V transformed[LineFilter::points];
    LineFilter::spread(outputs, transformed);
    to_points(transformed, point(0).at(tile, y) + o * lanes, plane());
  }
  // … and zeros from line y on.
  [[gnu::always_inline]] void clear(Index tile, Index y) const {
    for (Index i = 0; i < LineFilter::points; ++i)
      std::fill_n(point(i).at(tile, y), (h - y) * c * lanes, T(0));
  }

 private:
  Index plane() const { return InterleavedPictures<T, Isa>::room(tiles, h, c, margin); }

  [[gnu::always_inline]] static void to_points(const V* values, T* first, Index apart) {
#pragma GCC unroll 8
    for (int k = 0; k < LineFilter::points; ++k) store<T, Isa>(values[k], first + k * apart);
  }
};

// taps[point][ky][c][o] from [ky][kx][c][o], `pairs` of channels.
template <class T>
std::vector<T> filter_taps(const std::vector<T>& taps, Index pairs) {
  const Index lines = static_cast<Index>(taps.size()) / pairs / LineFilter::taps;
  std::vector<T> filtered(static_cast<std::size_t>(LineFilter::points * lines * pairs), T(0));
  T* out = filtered.data();
  for (int point = 0; point < LineFilter::points; ++point) {
    const T* from = taps.data();
    for (Index ky = 0; ky < lines; ++ky, out += pairs) {
      for (int kx = 0; kx < LineFilter::taps; ++kx, from += pairs) {
        const auto factor = static_cast<T>(LineFilter::filter(point, kx));
        for (Index i = 0; i < pairs; ++i) out[i] += factor * from[i];
      }
    }
  }
  return filtered;
}

// What LanesConvolution does, with filter_taps(). x has line_filter_margin(y.w) columns of zeros more than
// its padding.
template <class T, class Isa>
struct FilteredConvolution {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;
  using Columns = FilteredColumns<T, Isa>;

  const LanesConvolution<T, Isa>& of;
  T* room;

  static Index room_for(const LanesConvolution<T, Isa>& of) {
    return Columns::room(1, of.x.h, of.x.c, margin(of)) + Columns::room(1, of.y.h, of.y.c, 0);
  }

  // y, which may be written as it lies …
  [[gnu::always_inline]] void operator()() const {
    each_tile([&](const Columns& products, Index x0) __attribute__((always_inline)) { write(products, x0); });
  }

  // … or use(products, x0) for every tile, of the columns of y from x0 on: LineFilter::output() is still to
  // be done.
  template <class Use>
  [[gnu::always_inline]] void each_tile(const Use& use) const {
    const auto &x = of.x, &y = of.y;
    const Columns in{1, x.h, x.c, margin(of), room};
    const Columns out{1, y.h, y.c, 0, room + Columns::room(1, in.h, in.c, in.margin)};
    const Index taps = of.kh * x.c * y.c;  // of a point
    for (Index first = 0; first < y.w; first += LineFilter::outputs) {
      in.template make<LineFilter::points>(x, first - of.pad_w,
                                           [](const V* d, V* v) { LineFilter::input(d, v); });
      for (Index i = 0; i < LineFilter::points; ++i) {
        LanesConvolution<T, Isa>{in.point(i), out.point(i),       1,      of.kh, 1, 1, 0,
                                 of.pad_h,    of.taps + i * taps, nullptr}();
      }
      use(out, first);
    }
  }

  // The outputs of a tile at line y, channel o.
  [[gnu::always_inline]] static void outputs(const Columns& products, Index y, Index o, V* values) {
    const T* from = products.point(0).at(0, y) + o * lanes;
    const Index apart = products.point(1).data - products.data;
    V m[LineFilter::points];
#pragma GCC unroll 8
    for (int k = 0; k < LineFilter::points; ++k) load<T, Isa>(from + k * apart, m[k]);
    LineFilter::output(m, values);
  }

 private:
  static Index margin(const LanesConvolution<T, Isa>& of) {
    return std::min(of.pad_h, LanesConvolution<T, Isa>::most_zeros);
  }

  // The tile's columns of y, from x0 on.
  [[gnu::always_inline]] void write(const Columns& products, Index x0) const {
    if (x0 + LineFilter::outputs <= of.y.w)
      write<LineFilter::outputs>(products, x0);
    else if (x0 + 3 == of.y.w)
      write<3>(products, x0);
    else if (x0 + 2 == of.y.w)
      write<2>(products, x0);
    else
      write<1>(products, x0);
  }
  template <int Count>
  [[gnu::always_inline]] void write(const Columns& products, Index x0) const {
    const InterleavedPictures<T, Isa> y = of.y;
    const Index step = y.c * lanes;
    const T* bias = of.bias;
    for (Index line = 0; line < y.h; ++line) {
      T* to = y.at(line, x0);
      for (Index o = 0; o < y.c; ++o, to += lanes) {
        V values[LineFilter::outputs];
        outputs(products, line, o, values);
        const T more = bias ? bias[o] : T(0);
#pragma GCC unroll 4
        for (int i = 0; i < Count; ++i) store<T, Isa>(values[i] + more, to + i * step);
      }
    }
  }
};

// What LanesWeightGradient does, where x and dy have the zeros that the last tile needs, for the filtered
// weights: the totals of one point after the other. Some tiles at a time, so that what they become stays in
// the second-level cache.
template <class T, class Isa>
struct FilteredWeightGradient {
  static constexpr Index lanes = lanes_of<T, Isa>;
  using V = Vec<T, Isa>;
  using Columns = FilteredColumns<T, Isa>;

  const LanesWeightGradient<T, Isa>& of;
  T* room;

  static Index room_for(const LanesWeightGradient<T, Isa>& of) {
    const Index tiles = tiles_at_once(of);
    return Columns::room(tiles, of.x.h, of.x.c, of.pad_h) + Columns::room(tiles, of.dy.h, of.dy.c, 0);
  }

  [[gnu::always_inline]] void operator()() const {
    (*this)([&](Index first, const Columns& out) __attribute__((always_inline)) {
      out.template make<LineFilter::outputs>(of.dy, first * LineFilter::outputs,
                                             [](const V* d, V* v) { LineFilter::spread(d, v); });
    });
  }

  // The same with dy from spread(first, columns), the columns of the tiles from `first` on, all tiles in
  // order.
  template <class Spread>
  [[gnu::always_inline]] void operator()(const Spread& spread) const {
    const auto &x = of.x, &dy = of.dy;
    const Index tiles = LineFilter::tiles(dy.w), some = tiles_at_once(of), size = of.kh * x.c * dy.c;
    for (Index first = 0; first < tiles; first += some) {
      const Index count = std::min(some, tiles - first), x0 = first * LineFilter::outputs;
      const Columns in{count, x.h, x.c, of.pad_h, room};
      const Columns out{count, dy.h, dy.c, 0, room + Columns::room(count, x.h, x.c, of.pad_h)};
      in.template make<LineFilter::points>(x, x0 - of.pad_w,
                                           [](const V* d, V* v) { LineFilter::input(d, v); });
      spread(first, out);
      for (Index i = 0; i < LineFilter::points; ++i) {
        LanesWeightGradient<T, Isa>{in.point(i), out.point(i),        1, of.kh, 1, 1, 0, of.pad_h,
                                    of.sums,     of.totals + i * size}();
      }
    }
  }

 private:
  static Index tiles_at_once(const LanesWeightGradient<T, Isa>& of) {
    const Index tile = Columns::room(1, of.x.h, of.x.c, of.pad_h) + Columns::room(1, of.dy.h, of.dy.c, 0);
    return std::clamp<Index>((lanes << 13) / tile, 1, LineFilter::tiles(of.dy.w));
  }
};

// What add_weight_gradient_of_lanes() adds to: a total for each weight, or for each filtered one.
inline Index weight_totals(const Conv2dGeometry& g, bool filtered) {
  return g.o * g.taps() / g.kw * (filtered ? Index{LineFilter::points} : g.kw);
}

// dw (O,KH,KW,C) from those: by Gᵀ where they are filtered.
template <class T, class Isa>
void arrange_weight_totals(const Conv2dGeometry& g, bool filtered, const T* totals, T* dw) {
  if (!filtered) return WeightTiles<Isa>{g.kh, g.kw, g.c, g.o}.arrange(totals, dw);
  const WeightTiles<Isa> tiles{1, g.kh, g.c, g.o};
  std::vector<T> gradients(static_cast<std::size_t>(tiles.count()));  // (O,KH,C)
  std::fill_n(dw, g.o * g.taps(), T(0));
  for (int i = 0; i < LineFilter::points; ++i) {
    tiles.arrange(totals + i * tiles.count(), gradients.data());
    for (int kx = 0; kx < LineFilter::taps; ++kx) {
      const auto factor = static_cast<T>(LineFilter::filter(i, kx));
      for (Index row = 0; row < g.o * g.kh; ++row) {
        T* out = dw + (row * LineFilter::taps + kx) * g.c;
        for (Index c = 0; c < g.c; ++c) out[c] += factor * gradients[static_cast<std::size_t>(row * g.c + c)];
      }
    }
  }
}

// `plain` or, if `filtered`, the same by filtering along the lines.
template <class T, class Isa>
void convolve_lanes(const LanesConvolution<T, Isa>& plain, bool filtered) {
  Scratch<T> room(filtered ? FilteredConvolution<T, Isa>::room_for(plain) : 0);
  CompiledFor<Isa>::run([&] {
    if constexpr (std::same_as<T, float>) {
      if (filtered) return FilteredConvolution<T, Isa>{plain, room.data()}();
    }
    plain();
  });
}
template <class T, class Isa>
void add_weight_gradient_of_lanes(const LanesWeightGradient<T, Isa>& plain, bool filtered) {
  Scratch<T> room(filtered ? FilteredWeightGradient<T, Isa>::room_for(plain) : 0);
  CompiledFor<Isa>::run([&] {
    if constexpr (std::same_as<T, float>) {
      if (filtered) return FilteredWeightGradient<T, Isa>{plain, room.data()}();
    }
    plain();
  });
}

}  // namespace tenon::cpu
