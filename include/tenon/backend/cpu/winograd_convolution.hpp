// 3×3 convolution of pictures with weights that are transformed already: inputs are transformed, multiplied,
// and the outputs transformed back, a block of tiles at a time.
#pragma once

#include "tenon/backend/cpu/epilogue.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/winograd_weights.hpp"

namespace tenon::cpu {

// y (n,oh,ow,out) = finish(the convolution of x (n,h,w,in) with transformed weights).
template <class T, class Isa, class F, int Rows, int Vectors, class Finish>
struct WinogradConvolution {
  static constexpr int positions = F::points * F::points, lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;
  using V = Vec<T, Isa>;

  Index h, w, oh, ow, pad_h, pad_w, in, out;
  Index terms;  // channels of x that are not all 0: the first of them
  const T* x;
  T* y;
  const Finish& finish;
  WinogradTiles<F> tiles;
  Index units;  // of the tiles, in a block

  using Block = WinogradBlock<F, Rows>;
  Index blocks() const { return (tiles.units() + units - 1) / units; }
  Block block(Index b) const { return {tiles, b * units, std::min((b + 1) * units, tiles.units())}; }

  // The transformed tiles of block b: V[position][group][in/16][Rows][16].
  class Inputs {
   public:
    Inputs(const WinogradConvolution& convolution, Index b)
        : block(convolution.block(b)),
          first_group(b == 0 ? 0 : b * convolution.block(0).groups()),
          stride(winograd_stride(block.groups() * Rows * convolution.in)),
          data_(positions * stride) {
      parallel_for(block.groups(), [&](Index group) {
        CompiledFor<Isa>::run([&] {
          const WinogradConvolution copy = convolution;
          if_whole<F>(block.kind_of(group), [&](auto whole) __attribute__((always_inline)) {
            copy.template transform_input<whole()>(block, group, data(), stride);
          });
        });
      });
    }
    T* data() { return data_.data(); }

    const Block block;
    const Index first_group, stride;  // groups before the block's

   private:
    Scratch<T> data_;
  };

  // Of each group of `Rows` tiles, how many values a channel it has: a block of the moments.
  std::vector<Index> values_of_groups() const {
    std::vector<Index> values;
    for (Index b = 0; b < blocks(); ++b) {
      const Block some = block(b);
      for (Index group = 0; group < some.groups(); ++group) {
        values.push_back(0);
        some.each_tile(group, [&](const auto& place, Index) {
          values.back() += std::min<Index>(F::outputs, oh - place.y) * std::min<Index>(F::outputs, ow - place.x);
        });
      }
    }
    return values;
  }

  // The channels of y that the panels [from, to) of `weights` lead to. Inside a parallel loop it runs serially. `far`
  // says that the weights come from main memory.
  void outputs(Inputs& v, const WinogradWeights<T, Isa, F, Vectors>& weights, Index from, Index to, bool far) const {
    const Index width = (to - from) * columns, first_out = weights.first() + from * columns;
    const Index channels = std::min(width, out - first_out);
    const Index stride_m = winograd_stride(v.block.groups() * Rows * width);
    Scratch<T> m(positions * stride_m);
    parallel_for(positions, [&](Index i) {
      const int matrix = weights.matrix_of(static_cast<int>(i));
      const std::pair<Index, Index> groups = v.block.range(i);
      const T* transformed = v.data() + i * v.stride + groups.first * Rows * in;
      T* to_m = m.data() + i * stride_m + groups.first * Rows * width;
      for (Index panel = from; panel < to; ++panel) {
        const T* b = weights.panel(matrix, panel);
        const T* later = far ? panel_after(weights, i, panel) : nullptr;
        CompiledFor<Isa>::run(
            [&] { multiply(v.block, groups, transformed, b, later, to_m + (panel - from) * columns, width); });
      }
    });
    parallel_for(v.block.groups(), [&](Index group) {
      CompiledFor<Isa>::run([&] {
        const WinogradConvolution copy = *this;
        if_whole<F>(v.block.kind_of(group), [&](auto whole) __attribute__((always_inline)) {
          copy.template transform_output<whole()>(v, group, m.data(), stride_m, width, first_out, channels);
        });
      });
    });
  }

 private:
  // What is multiplied after a panel at position i, where one panel after the other meets all positions; null if that
  // is the same one or there is none.
  static const T* panel_after(const WinogradWeights<T, Isa, F, Vectors>& weights, Index i, Index panel) {
    const int matrix = weights.matrix_of(static_cast<int>(i));
    if (i + 1 < positions) {
      const int next = weights.matrix_of(static_cast<int>(i) + 1);
      return next == matrix ? nullptr : weights.panel(next, panel);
    }
    return panel + 1 < weights.panels() ? weights.panel(0, panel + 1) : nullptr;
  }

  // One position: V (groups of Rows tiles, in) times a panel of weights. Meanwhile `later` is asked for, a panel that
  // lies in main memory, if not null.
  [[gnu::always_inline]] void multiply(const Block& block, const std::pair<Index, Index>& groups, const T* v,
                                       const T* panel, const T* later, T* m, Index width) const {
    const Index size = in * columns, runs = (groups.second - groups.first) * in / row_runs;
    Ahead<T> next({.data = later, .width = size, .count = later ? 1 : 0}, {}, runs);
    for (Index group = groups.first; group < groups.second; ++group, v += Rows * in, m += Rows * width) {
      if (block.rows_of(group) < Rows) {
        multiply_rows<Block::few>(v, panel, later ? &next : nullptr, m, width);
      } else {
        multiply_rows<Rows>(v, panel, later ? &next : nullptr, m, width);
      }
    }
  }

  template <int Some>
  [[gnu::always_inline]] void multiply_rows(const T* v, const T* panel, Ahead<T>* next, T* m, Index width) const {
    const LeaveAsIs* const as_is = nullptr;
    if (terms < row_runs) {
      multiply_tile<T, Isa, Some, Vectors>(terms, PackedRows<T, row_runs, Rows>{v}, panel, columns, Store::plain, m,
                                           width);
    } else {
      multiply_tile<T, Isa, Some, Vectors>(in, WholeRuns<T, row_runs, Rows>{{v}}, panel, columns, Store::plain, m,
                                           width, as_is, 0, 0, {}, next);
    }
  }

  template <bool Whole>
  [[gnu::always_inline]] void transform_input(const Block& block, Index group, T* v, Index stride) const {
    T* panel = v + group * Rows * in;
    const auto& kind = block.kind_of(group);
    block.each_tile(group, [&](const auto& place, Index i) __attribute__((always_inline)) {
      const PictureWindow<T, Isa, F::inputs> window(place.picture, F::input_of(place.y) - pad_h,
                                                    F::input_of(place.x) - pad_w, h, w, in);
      for (Index c = 0; c < in; c += lanes) {
        window.template ask_below<F::input_of(F::outputs)>(x + c);
        T* to = panel + c / row_runs * row_runs * Rows + i * row_runs + c % row_runs;
        transform_tile<T, Isa, F, Whole>(window, kind, x + c, to, stride, [](auto count, const V* a, V* b) {
          F::template input<count()>(a, b);
        });
      }
    });
  }

  template <bool Whole>
  [[gnu::always_inline]] void transform_output(const Inputs& v, Index group, const T* m, Index stride, Index width,
                                               Index first_out, Index channels) const {
    const auto& kind = v.block.kind_of(group);
    v.block.each_tile(group, [&](const auto& place, Index i) __attribute__((always_inline)) {
      const PictureWindow<T, Isa, F::outputs> window(place.picture, place.y, place.x, oh, ow, out);
      const T* from = m + (group * Rows + i) * width;
      for (Index o = 0; o < channels; o += lanes) {
        V values[F::outputs * F::outputs];
        window.template ask_below<F::outputs>(y + first_out + o);
        transform_back<T, Isa, F, Whole>(
            kind, from + o, stride, [](auto count, const V* a, V* b) { F::template output<count()>(a, b); }, values);
        V more[F::outputs * F::outputs];
        if (finish.residual) window.read(finish.residual + first_out + o, more);
        finish.template on_registers<Isa, F::outputs * F::outputs>(first_out + o,
                                                                   finish.residual ? more : nullptr, values);
        if constexpr (requires { finish.moments; }) {
          if (finish.moments) {
            finish.moments->template add_values<Isa>(
                v.first_group + group, first_out + o, i == 0, values[0],
                [&](const auto& use) __attribute__((always_inline)) { window.each_inside(values, use); });
          }
        }
        window.write(values, y + first_out + o);
      }
    });
  }
};

}  // namespace tenon::cpu
