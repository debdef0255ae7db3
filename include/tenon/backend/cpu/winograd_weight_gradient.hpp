// The gradient of a 3×3 convolution's weights by Winograd's method: one matrix product a position, which sums
// over the tiles.
#pragma once

#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/winograd_window.hpp"

namespace tenon::cpu {

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
        stride_(winograd_stride(g_.o * width_)) {}

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
      const Index stride_x = winograd_stride(depth * width_), stride_y = winograd_stride(depth * g_.o);
      Scratch<T> xs(positions * stride_x), ys(positions * stride_y);
      parallel_ranges(depth, 8, [&](Index begin, Index end) {
        CompiledFor<Isa>::run([&] {
          auto place = tiles_.at(start + begin);
          for (Index t = begin; t < end; ++t, tiles_.step(place)) {
            transform(place, t, depth, xs.data(), stride_x, ys.data(), stride_y);
          }
        });
      });
      parallel_for(positions, [&](Index p) {
        CompiledFor<Isa>::run([&] {
          for (Index j = 0; j < width_; j += columns) {
            for (Index i = 0; i < g_.o; i += Rows) {
              multiply_tile<T, Isa, Rows, Vectors>(
                  depth,
                  WholeRuns<T, 1, row_runs>{
                      {ys.data() + p * stride_y + i / row_runs * row_runs * depth + i % row_runs}},
                  xs.data() + p * stride_x + j * depth, columns, start > first,
                  sums + p * stride_ + i * width_ + j, width_);
            }
          }
        });
      });
    }
  }

  // The tile at `place` as term t of `depth`: xs[position][panel][t][column], ys[position][o/16][t][16].
  [[gnu::always_inline]] void transform(const typename WinogradTiles<F>::Place& place, Index t, Index depth,
                                        T* xs, Index stride_x, T* ys, Index stride_y) const {
    const PictureWindow<T, Isa, F::inputs> in(place.picture, place.y - g_.pad_h, place.x - g_.pad_w, g_.h,
                                              g_.w, g_.c);
    for (Index c = 0; c < g_.c; c += lanes) {
      in.template ask_below<false>(x_ + c, F::outputs);
      T* to = xs + (c / columns * depth + t) * columns + c % columns;
      in.template transform<F::inputs>(
          x_ + c, [](const V* a, V* b) { F::input(a, b); },
          [&](int r, const V* row) {
            store_apart<T, Isa, F::inputs>(row, to + r * F::inputs * stride_x, stride_x);
          });
    }
    const PictureWindow<T, Isa, F::outputs> out(place.picture, place.y, place.x, g_.oh, g_.ow, g_.o);
    for (Index o = 0; o < g_.o; o += lanes) {
      out.template ask_below<false>(dy_ + o, F::outputs);
      T* to = ys + (o / row_runs * depth + t) * row_runs + o % row_runs;
      out.template transform<F::inputs>(
          dy_ + o, [](const V* a, V* b) { F::spread(a, b); },
          [&](int r, const V* row) {
            store_apart<T, Isa, F::inputs>(row, to + r * F::inputs * stride_y, stride_y);
          });
    }
  }

  const Conv2dGeometry& g_;
  const T* x_;
  const T* dy_;
  WinogradTiles<F> tiles_;
  Index width_, stride_;
};

}  // namespace tenon::cpu
