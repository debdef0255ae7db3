// 3×3 convolution with stride 1 by Winograd's method, forward and both gradients (Lavin & Gray 2016).
//
// The picture is cut into tiles of m×m outputs. Each tile's (m+2)×(m+2) inputs are transformed, which leaves,
// for each of the (m+2)² positions, one matrix product over the channels: tiles × C times C × O. The
// transforms move whole registers of channels, so they write the operands in just the order in which the
// register tile reads them.
#pragma once

#include "tenon/backend/cpu/epilogue.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/winograd_transform.hpp"

namespace tenon::cpu {

// Channels come in runs of 16 here: one register of the widest instruction set, a chunk of a packed row.
inline bool winograd_fits(const Conv2dGeometry& g) {
  return g.kh == 3 && g.kw == 3 && g.stride_h == 1 && g.stride_w == 1 && g.dilation_h == 1 &&
         g.dilation_w == 1 && g.groups == 1 && g.c % row_runs == 0 && g.o % row_runs == 0 && g.pad_h <= 2 &&
         g.pad_w <= 2;
}

// The tiles of a batch of pictures (n,h,w,c): the outputs of tile (n,ty,tx) are rows m·ty …, columns m·tx … .
template <class F>
struct WinogradTiles {
  Index n, down, across;

  WinogradTiles(Index pictures, Index out_h, Index out_w)
      : n(pictures),
        down((out_h + F::outputs - 1) / F::outputs),
        across((out_w + F::outputs - 1) / F::outputs) {}
  Index count() const { return n * down * across; }
};

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
#pragma GCC unroll 6
      for (Index r = 0; r < Size; ++r) {
#pragma GCC unroll 6
        for (Index s = 0; s < Size; ++s) load<T, Isa>(first + r * row + s * pixel, values[r * Size + s]);
      }
      return;
    }
    for (int i = 0; i < Size * Size; ++i) values[i] = Vec<T, Isa>{};
    for (Index r = top; r < bottom; ++r) {
      for (Index s = left; s < right; ++s) load<T, Isa>(first + r * row + s * pixel, values[r * Size + s]);
    }
  }
  // The transform of the window by `line` (Size → To values), to write(y, x, value). With pixels outside it
  // goes through a table of addresses, which has a register of zeros for those.
  template <int To, class Line, class Write>
  [[gnu::always_inline]] void transform(const T* data, const Line& line, const Write& write) const {
    using V = Vec<T, Isa>;
    const T* first = data + start;
    if (whole()) {
      return apply_both_ways<Size, To, V>(
          [&](int r, int s, V& v) { load<T, Isa>(first + r * row + s * pixel, v); }, line, write);
    }
    alignas(64) static constexpr T zeros[lanes_of<T, Isa>] = {};
    const T* table[Size * Size];
    for (Index r = 0; r < Size; ++r) {
      for (Index s = 0; s < Size; ++s) {
        const bool inside = r >= top && r < bottom && s >= left && s < right;
        table[r * Size + s] = inside ? first + r * row + s * pixel : zeros;
      }
    }
    apply_both_ways<Size, To, V>([&](int r, int s, V& v) { load<T, Isa>(table[r * Size + s], v); }, line,
                                 write);
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
  [[gnu::always_inline]] void write(const Vec<T, Isa>* values, T* data) const {
    T* first = data + start;
    if (whole()) {
#pragma GCC unroll 6
      for (Index r = 0; r < Size; ++r) {
#pragma GCC unroll 6
        for (Index s = 0; s < Size; ++s) store<T, Isa>(values[r * Size + s], first + r * row + s * pixel);
      }
      return;
    }
    for (Index r = top; r < bottom; ++r) {
      for (Index s = left; s < right; ++s) store<T, Isa>(values[r * Size + s], first + r * row + s * pixel);
    }
  }
};

namespace detail {

// Values between the matrices of neighbouring positions: not a multiple of 4 KB, which would send all to one
// cache set.
inline Index position_stride(Index values) { return values + row_runs; }

}  // namespace detail

// ---- forward, and backward to the data as the forward pass of the turned weights
// ---------------------------

// The transformed weights U, a matrix (in,out) a position, as panels: U[position][panel][i][j].
template <class T, class Isa, class F, int Vectors>
class WinogradWeights {
 public:
  static constexpr int positions = F::inputs * F::inputs, lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;
  enum class Use { forward, backward_data };

  // w (O,3,3,C); of its outputs `count` from `first`, a multiple of the columns. For backward_data inputs and
  // outputs change places and the taps turn by 180°.
  WinogradWeights(const T* w, Index o, Index c, Use use, Index first, Index count)
      : in_(use == Use::forward ? c : o),
        panels_((count + columns - 1) / columns),
        stride_(detail::position_stride(panels_ * in_ * columns)),
        data_(positions * stride_) {
    if (use == Use::forward) {
      const T* rows = w + first * 9 * c;
      parallel_for((count + lanes - 1) / lanes,
                   [&](Index job) { CompiledFor<Isa>::run([&] { from_rows(rows, job * lanes, count, c); }); });
    } else {
      parallel_for(o, [&](Index job) {
        CompiledFor<Isa>::run([&] { from_columns(w + first, job, c, count); });
      });
    }
  }

  Index in() const { return in_; }
  Index panels() const { return panels_; }
  const T* panel(Index position, Index p) { return data_.data() + position * stride_ + p * in_ * columns; }

 private:
  using V = Vec<T, Isa>;

  // Output channels [o0, o0 + lanes): the nine taps are transposed, then transformed with outputs in the lanes.
  [[gnu::always_inline]] void from_rows(const T* w, Index o0, Index o, Index c) {
    const Index count = std::min<Index>(lanes, o - o0);
    // Too many lines are read side by side for the processor to foresee: ask for what comes two steps later.
    const Index ahead = 2 * lanes, more = o0 + 2 * lanes <= o ? lanes : 0;
    for (Index c0 = 0; c0 < c; c0 += lanes) {
      V all[9][lanes];
      for (Index k = 0; k < 9; ++k) {
        for (Index r = 0; r < count; ++r) {
          load<T, Isa>(w + ((o0 + r) * 9 + k) * c + c0, all[k][r]);
          __builtin_prefetch(w + ((o0 + r + (c0 + ahead < c ? 0 : more)) * 9 + k) * c + (c0 + ahead) % c);
        }
        for (Index r = count; r < lanes; ++r) all[k][r] = V{};
        transpose<T, Isa>(all[k]);
      }
      T* out = data_.data() + (o0 / columns * in_ + c0) * columns + o0 % columns;
      for (Index r = 0; r < lanes; ++r, out += columns) {
        V taps[9], u[positions];
        for (Index k = 0; k < 9; ++k) taps[k] = all[k][r];
        apply_both_ways<3, F::inputs>(taps, u, [](const V* g, V* to) { F::filter(g, to); });
        for (int i = 0; i < positions; ++i) store<T, Isa>(u[i], out + i * stride_);
      }
    }
  }

  [[gnu::always_inline]] void from_columns(const T* w, Index o, Index c, Index count) {
    for (Index c0 = 0; c0 < count; c0 += lanes) {
      V taps[9], u[positions];
      for (Index k = 0; k < 9; ++k) load<T, Isa>(w + (o * 9 + 8 - k) * c + c0, taps[k]);
      apply_both_ways<3, F::inputs>(taps, u, [](const V* g, V* out) { F::filter(g, out); });
      T* out = data_.data() + (c0 / columns * in_ + o) * columns + c0 % columns;
      for (int i = 0; i < positions; ++i) store<T, Isa>(u[i], out + i * stride_);
    }
  }

  Index in_, panels_, stride_;
  Scratch<T> data_;
};

// y (n,oh,ow,out) = finish(the convolution of x (n,h,w,in) with transformed weights).
template <class T, class Isa, class F, int Rows, int Vectors, class Finish>
struct WinogradConvolution {
  static constexpr int positions = F::inputs * F::inputs, lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;
  using V = Vec<T, Isa>;

  Index h, w, oh, ow, pad_h, pad_w, in, out;
  const T* x;
  T* y;
  const Finish& finish;
  WinogradTiles<F> tiles;

  // The transformed tiles [first, first + count): V[position][group][in/16][Rows][16].
  class Inputs {
   public:
    Inputs(const WinogradConvolution& convolution, Index first_tile, Index tile_count)
        : first(first_tile),
          count(tile_count),
          groups((count + Rows - 1) / Rows),
          stride(detail::position_stride(groups * Rows * convolution.in)),
          data_(positions * stride) {
      parallel_for(groups, [&](Index group) {
        CompiledFor<Isa>::run([&] { convolution.transform_input(first, count, group, data(), stride); });
      });
    }
    T* data() { return data_.data(); }

    const Index first, count, groups, stride;

   private:
    Scratch<T> data_;
  };

  // The channels of y from first_out on that `weights` lead to. Inside a parallel loop it runs serially.
  void outputs(Inputs& v, WinogradWeights<T, Isa, F, Vectors>& weights, Index first_out) const {
    const Index width = weights.panels() * columns, channels = std::min(width, out - first_out);
    const Index stride_m = detail::position_stride(v.groups * Rows * width);
    Scratch<T> m(positions * stride_m);
    parallel_for(positions, [&](Index i) {
      CompiledFor<Isa>::run([&] {
        for (Index panel = 0; panel < weights.panels(); ++panel) {
          const T* b = weights.panel(i, panel);
          for (Index group = 0; group < v.groups; ++group) {
            multiply_tile<T, Isa, Rows, Vectors, row_runs>(
                in, v.data() + i * v.stride + group * Rows * in, b, false,
                m.data() + i * stride_m + group * Rows * width + panel * columns, width);
          }
        }
      });
    });
    parallel_for(v.groups, [&](Index group) {
      CompiledFor<Isa>::run([&] {
        transform_output(v.first, v.count, group, m.data(), stride_m, width, first_out, channels);
      });
    });
  }

 private:
  [[gnu::always_inline]] void transform_input(Index first, Index count, Index group, T* v,
                                              Index stride) const {
    T* panel = v + group * Rows * in;
    for (Index i = 0; i < Rows && group * Rows + i < count; ++i) {
      const Index tile = first + group * Rows + i, tx = tile % tiles.across,
                  ty = tile / tiles.across % tiles.down;
      const PictureWindow<T, Isa, F::inputs> window(
          tile / (tiles.across * tiles.down), ty * F::outputs - pad_h, tx * F::outputs - pad_w, h, w, in);
      for (Index c = 0; c < in; c += lanes) {
        window.template ask_below<false>(x + c, F::outputs);
        T* to = panel + c / row_runs * row_runs * Rows + i * row_runs + c % row_runs;
        window.template transform<F::inputs>(
            x + c, [](const V* a, V* b) { F::input(a, b); },
            [&](int r, int s, const V& value) { store<T, Isa>(value, to + (r * F::inputs + s) * stride); });
      }
    }
  }

  [[gnu::always_inline]] void transform_output(Index first, Index count, Index group, const T* m,
                                               Index stride, Index width, Index first_out,
                                               Index channels) const {
    for (Index i = 0; i < Rows && group * Rows + i < count; ++i) {
      const Index tile = first + group * Rows + i, tx = tile % tiles.across,
                  ty = tile / tiles.across % tiles.down;
      const PictureWindow<T, Isa, F::outputs> window(tile / (tiles.across * tiles.down), ty * F::outputs,
                                                     tx * F::outputs, oh, ow, out);
      const T* from = m + (group * Rows + i) * width;
      for (Index o = 0; o < channels; o += lanes) {
        window.template ask_below<true>(y + first_out + o, F::outputs);
        V values[F::outputs * F::outputs];
        apply_both_ways<F::inputs, F::outputs, V>(
            [&](int r, int s, V& v) { load<T, Isa>(from + (r * F::inputs + s) * stride + o, v); },
            [](const V* a, V* b) { F::output(a, b); },
            [&](int r, int s, const V& v) { values[r * F::outputs + s] = v; });
        V more[F::outputs * F::outputs];
        if (finish.residual) window.read(finish.residual + first_out + o, more);
        for (int k = 0; k < F::outputs * F::outputs; ++k)
          finish.template on_register<Isa>(first_out + o, finish.residual ? more + k : nullptr, values[k]);
        window.write(values, y + first_out + o);
      }
    }
  }
};

// ---- the gradient of the weights
// ---------------------------------------------------------------------------

// dw (O,3,3,C) from x (n,h,w,C) and dy (n,oh,ow,O). The transformed gradient dU is summed over fixed runs of
// tiles and then over the runs in order.
template <class T, class Isa, class F, int Rows, int Vectors>
class WinogradWeightGradient {
 public:
  static_assert(row_runs % Rows == 0);
  static constexpr int positions = F::inputs * F::inputs, lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;

  WinogradWeightGradient(const Conv2dGeometry& geometry, const T* x_data, const T* dy_data)
      : g_(geometry),
        x_(x_data),
        dy_(dy_data),
        tiles_(g_.n, g_.oh, g_.ow),
        width_((g_.c + columns - 1) / columns * columns),
        stride_(detail::position_stride(g_.o * width_)) {}

  void run(T* dw) const {
    const Index size = positions * stride_;
    const Index pieces = fixed_pieces(tiles_.count(), 64, std::clamp<Index>((Index{1} << 20) / size, 1, 16));
    Scratch<T> sums(pieces * size);
    parallel_for(pieces, [&](Index piece) {
      const Index first = tiles_.count() * piece / pieces, last = tiles_.count() * (piece + 1) / pieces;
      accumulate(first, last, sums.data() + piece * size);
    });
    parallel_for(g_.o, [&](Index o) {
      CompiledFor<Isa>::run([&] {
        for (Index c = 0; c < g_.c; c += lanes) {
          V u[positions], taps[9];
          for (int p = 0; p < positions; ++p) {
            const T* from = sums.data() + p * stride_ + o * width_ + c;
            load<T, Isa>(from, u[p]);
            for (Index piece = 1; piece < pieces; ++piece) {
              V more;
              load<T, Isa>(from + piece * size, more);
              u[p] += more;
            }
          }
          apply_both_ways<F::inputs, 3>(u, taps, [](const V* a, V* b) { F::gather(a, b); });
          for (int k = 0; k < 9; ++k) store<T, Isa>(taps[k], dw + (o * 9 + k) * g_.c + c);
        }
      });
    });
  }

 private:
  using V = Vec<T, Isa>;

  // dU = Σ over tiles of (A dy Aᵀ)ᵀ (Bᵀ x B), block by block: long enough that dU is not read too often.
  void accumulate(Index first, Index last, T* sums) const {
    const Index most = std::clamp<Index>(2 * std::max(g_.c, g_.o), 32, 256);
    for (Index start = first; start < last; start += most) {
      const Index depth = std::min(most, last - start);
      const Index stride_x = detail::position_stride(depth * width_),
                  stride_y = detail::position_stride(depth * g_.o);
      Scratch<T> xs(positions * stride_x), ys(positions * stride_y);
      parallel_ranges(depth, 8, [&](Index begin, Index end) {
        CompiledFor<Isa>::run([&] {
          for (Index t = begin; t < end; ++t) {
            transform(start + t, t, depth, xs.data(), stride_x, ys.data(), stride_y);
          }
        });
      });
      parallel_for(positions, [&](Index p) {
        CompiledFor<Isa>::run([&] {
          for (Index j = 0; j < width_; j += columns) {
            for (Index i = 0; i < g_.o; i += Rows) {
              multiply_tile<T, Isa, Rows, Vectors, rows_interleaved, row_runs>(
                  depth, ys.data() + p * stride_y + i / row_runs * row_runs * depth + i % row_runs,
                  xs.data() + p * stride_x + j * depth, start > first, sums + p * stride_ + i * width_ + j,
                  width_);
            }
          }
        });
      });
    }
  }

  // Tile number `tile` as term t of `depth`: xs[position][panel][t][column], ys[position][o/16][t][16].
  [[gnu::always_inline]] void transform(Index tile, Index t, Index depth, T* xs, Index stride_x, T* ys,
                                        Index stride_y) const {
    const Index tx = tile % tiles_.across, ty = tile / tiles_.across % tiles_.down,
                picture = tile / (tiles_.across * tiles_.down);
    const PictureWindow<T, Isa, F::inputs> in(picture, ty * F::outputs - g_.pad_h, tx * F::outputs - g_.pad_w,
                                              g_.h, g_.w, g_.c);
    for (Index c = 0; c < g_.c; c += lanes) {
      in.template ask_below<false>(x_ + c, F::outputs);
      T* to = xs + (c / columns * depth + t) * columns + c % columns;
      in.template transform<F::inputs>(
          x_ + c, [](const V* a, V* b) { F::input(a, b); },
          [&](int r, int s, const V& v) { store<T, Isa>(v, to + (r * F::inputs + s) * stride_x); });
    }
    const PictureWindow<T, Isa, F::outputs> out(picture, ty * F::outputs, tx * F::outputs, g_.oh, g_.ow,
                                                g_.o);
    for (Index o = 0; o < g_.o; o += lanes) {
      out.template ask_below<false>(dy_ + o, F::outputs);
      T* to = ys + (o / row_runs * depth + t) * row_runs + o % row_runs;
      out.template transform<F::inputs>(
          dy_ + o, [](const V* a, V* b) { F::spread(a, b); },
          [&](int r, int s, const V& v) { store<T, Isa>(v, to + (r * F::inputs + s) * stride_y); });
    }
  }

  const Conv2dGeometry& g_;
  const T* x_;
  const T* dy_;
  WinogradTiles<F> tiles_;
  Index width_, stride_;
};

// ---- the three directions
// ----------------------------------------------------------------------------------

namespace detail {

template <class T, class Isa, class F, int Rows, int Vectors, class Finish>
void winograd_convolve(const Conv2dGeometry& g, const T* x, const T* w, bool data, const Finish& finish,
                       T* y) {
  using Weights = WinogradWeights<T, Isa, F, Vectors>;
  using Convolution = WinogradConvolution<T, Isa, F, Rows, Vectors, Finish>;
  const auto use = data ? Weights::Use::backward_data : Weights::Use::forward;
  const Index h = data ? g.oh : g.h, width = data ? g.ow : g.w, oh = data ? g.h : g.oh,
              ow = data ? g.w : g.ow, out = data ? g.c : g.o;
  const Convolution convolution{h,
                                width,
                                oh,
                                ow,
                                data ? 2 - g.pad_h : g.pad_h,
                                data ? 2 - g.pad_w : g.pad_w,
                                data ? g.o : g.c,
                                out,
                                x,
                                y,
                                finish,
                                WinogradTiles<F>(g.n, oh, ow)};
  // A block's operands stay in the second-level cache while that leaves the weights enough use.
  const Index most = (std::clamp<Index>(std::max(g.c, g.o) / 2, 48, 256) + Rows - 1) / Rows * Rows;
  const Index count = convolution.tiles.count(), blocks = (count + most - 1) / most;
  if (blocks <= 1) {  // few tiles: the weights are the larger operand, and only a panel of them exists at a time
    typename Convolution::Inputs v(convolution, 0, count);
    return parallel_for((out + Weights::columns - 1) / Weights::columns, [&](Index panel) {
      const Index first = panel * Weights::columns;
      Weights weights(w, g.o, g.c, use, first, std::min(Weights::columns, out - first));
      convolution.outputs(v, weights, first);
    });
  }
  Weights weights(w, g.o, g.c, use, 0, out);
  const auto block = [&](Index b) {
    typename Convolution::Inputs v(convolution, b * most, std::min(most, count - b * most));
    convolution.outputs(v, weights, 0);
  };
  if (blocks >= 2 * thread_count()) return parallel_for(blocks, block);
  for (Index b = 0; b < blocks; ++b) block(b);
}

}  // namespace detail

template <class T, class Isa, class F, class Finish>
void winograd_forward(const Conv2dGeometry& g, const T* x, const T* w, const Finish& finish, T* y) {
  if (Isa::bytes == 64 && g.o <= lanes_of<T, Isa>) {
    return detail::winograd_convolve<T, Isa, F, 2 * Isa::rows, 1>(g, x, w, false, finish, y);
  }
  detail::winograd_convolve<T, Isa, F, Isa::rows, Isa::vectors>(g, x, w, false, finish, y);
}

template <class T, class Isa, class F>
void winograd_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  if (Isa::bytes == 64 && g.c <= lanes_of<T, Isa>) {
    return detail::winograd_convolve<T, Isa, F, 2 * Isa::rows, 1>(g, dy, w, true, Epilogue<T>{}, dx);
  }
  detail::winograd_convolve<T, Isa, F, Isa::rows, Isa::vectors>(g, dy, w, true, Epilogue<T>{}, dx);
}

template <class T, class Isa, class F>
void winograd_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  if constexpr (Isa::bytes == 64) {
    if (g.c % (2 * lanes_of<T, Isa>) == 0) return WinogradWeightGradient<T, Isa, F, 8, 2>(g, x, dy).run(dw);
    WinogradWeightGradient<T, Isa, F, 16, 1>(g, x, dy).run(dw);
  } else {
    WinogradWeightGradient<T, Isa, F, 4, 2>(g, x, dy).run(dw);
  }
}

}  // namespace tenon::cpu
