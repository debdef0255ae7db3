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
          stride(winograd_stride(groups * Rows * convolution.in)),
          data_(positions * stride) {
      parallel_for(groups, [&](Index group) {
        CompiledFor<Isa>::run([&] {
          const WinogradConvolution copy = convolution;
          copy.transform_input(first, count, group, data(), stride);
        });
      });
    }
    T* data() { return data_.data(); }

    const Index first, count, groups, stride;

   private:
    Scratch<T> data_;
  };

  // Of each group of `Rows` tiles, how many values a channel it has: a block of the moments.
  std::vector<Index> values_of_groups() const {
    const Index count = tiles.count();
    std::vector<Index> values(static_cast<std::size_t>((count + Rows - 1) / Rows));
    auto place = tiles.at(0);
    for (Index tile = 0; tile < count; ++tile, tiles.step(place)) {
      values[static_cast<std::size_t>(tile / Rows)] +=
          std::min<Index>(F::outputs, oh - place.y) * std::min<Index>(F::outputs, ow - place.x);
    }
    return values;
  }

  // The channels of y that the panels [from, to) of `weights` lead to. Inside a parallel loop it runs
  // serially. `far` as for the register tile.
  void outputs(Inputs& v, const WinogradWeights<T, Isa, F, Vectors>& weights, Index from, Index to,
               bool far) const {
    const Index width = (to - from) * columns, first_out = weights.first() + from * columns;
    const Index channels = std::min(width, out - first_out);
    const Index stride_m = winograd_stride(v.groups * Rows * width);
    Scratch<T> m(positions * stride_m);
    parallel_for(positions, [&](Index i) {
      const int matrix = weights.matrix_of(static_cast<int>(i));
      const T* transformed = v.data() + i * v.stride;
      T* to_m = m.data() + i * stride_m;
      for (Index panel = from; panel < to; ++panel) {
        CompiledFor<Isa>::run([&] {
          multiply(v.groups, in, transformed, weights.panel(matrix, panel), far,
                   to_m + (panel - from) * columns, width);
        });
      }
    });
    parallel_for(v.groups, [&](Index group) {
      CompiledFor<Isa>::run([&] {
        const WinogradConvolution copy = *this;
        copy.transform_output(v.first, v.count, group, m.data(), stride_m, width, first_out, channels);
      });
    });
  }

 private:
  // One position: V (groups of Rows tiles, depth) times a panel of weights.
  [[gnu::always_inline]] static void multiply(Index groups, Index depth, const T* v, const T* panel, bool far,
                                              T* m, Index width) {
    for (Index group = 0; group < groups; ++group, v += Rows * depth, m += Rows * width) {
      multiply_tile<T, Isa, Rows, Vectors>(depth, WholeRuns<T, row_runs, Rows>{{v}, far && group == 0}, panel,
                                           columns, false, m, width);
    }
  }

  [[gnu::always_inline]] void transform_input(Index first, Index count, Index group, T* v,
                                              Index stride) const {
    T* panel = v + group * Rows * in;
    auto place = tiles.at(first + group * Rows);
    for (Index i = 0; i < Rows && group * Rows + i < count; ++i, tiles.step(place)) {
      const PictureWindow<T, Isa, F::inputs> window(place.picture, F::input_of(place.y) - pad_h,
                                                    F::input_of(place.x) - pad_w, h, w, in);
      for (Index c = 0; c < in; c += lanes) {
        window.template ask_below<false>(x + c, F::input_of(F::outputs));
        T* to = panel + c / row_runs * row_runs * Rows + i * row_runs + c % row_runs;
        window.template transform<F::points>(
            x + c, [](const V* a, V* b) { F::input(a, b); },
            [&](int r, const V* row) {
              store_apart<T, Isa, F::points>(row, to + r * F::points * stride, stride);
            });
      }
    }
  }

  [[gnu::always_inline]] void transform_output(Index first, Index count, Index group, const T* m,
                                               Index stride, Index width, Index first_out,
                                               Index channels) const {
    auto place = tiles.at(first + group * Rows);
    for (Index i = 0; i < Rows && group * Rows + i < count; ++i, tiles.step(place)) {
      const PictureWindow<T, Isa, F::outputs> window(place.picture, place.y, place.x, oh, ow, out);
      const T* from = m + (group * Rows + i) * width;
      for (Index o = 0; o < channels; o += lanes) {
        window.template ask_below<true>(y + first_out + o, F::outputs);
        V values[F::outputs * F::outputs];
        apply_both_ways<F::points, F::outputs, V>(
            [&](int s, V* column) {
              load_apart<T, Isa, F::points>(from + s * stride + o, F::points * stride, column);
            },
            [](const V* a, V* b) { F::output(a, b); },
            [&](int r, const V* row) {
#pragma GCC unroll 8
              for (int s = 0; s < F::outputs; ++s) values[r * F::outputs + s] = row[s];
            });
        V more[F::outputs * F::outputs];
        if (finish.residual) window.read(finish.residual + first_out + o, more);
        finish.template on_registers<Isa, F::outputs * F::outputs>(first_out + o,
                                                                   finish.residual ? more : nullptr, values);
        if constexpr (requires { finish.moments; }) {
          if (finish.moments) {
            finish.moments->template add_values<Isa>(
                first / Rows + group, first_out + o, i == 0, values[0],
                [&](const auto& use) __attribute__((always_inline)) { window.each_inside(values, use); });
          }
        }
        window.write(values, y + first_out + o);
      }
    }
  }
};

}  // namespace tenon::cpu
