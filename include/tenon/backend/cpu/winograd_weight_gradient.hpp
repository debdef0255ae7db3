// The gradient of a convolution's weights by Winograd's method: one matrix product a position, which sums
// over the tiles.
//
// The transformed gradient dU is four times as large as the gradient dw. So dU never exists as a whole: of a
// block of tiles, a register tile of dU is made for all positions, turned into taps, and those are added up.
#pragma once

#include <bit>

#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/winograd_window.hpp"

namespace tenon::cpu {

// dw (O,taps,taps,C) from x (n,h,w,C) and dy (n,oh,ow,O), channels in multiples of 16.
template <class T, class Isa, class F, int Rows, int Vectors>
class WinogradWeightGradient {
 public:
  static constexpr int positions = F::points * F::points, matrices = F::filters * F::filters, taps = F::taps * F::taps,
                       lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;
  // Rows that are made for one position after the other. Of low tiles several: then the terms of a position, which lie
  // in runs of 16 rows, come from the second-level cache once.
  static constexpr int together = Isa::bytes < 64 ? row_runs : Rows;
  static_assert(row_runs % together == 0);

  WinogradWeightGradient(const Conv2dGeometry& geometry, const T* x_data, const T* dy_data)
      : g_(geometry), x_(x_data), dy_(dy_data), tiles_(winograd_tiles<F, 1>(g_.n, g_.oh, g_.ow, most)) {}

  // Fixed runs of tiles are summed each for itself and then in order. A thread that has a run to itself reads nothing
  // that another has just written: between the halves of a large processor that is slow. Too few runs for all threads
  // are shared out within.
  void run(T* dw) const {
    const Index size = g_.o * taps * g_.c;
    const Index units = tiles_.units(), some = most / tiles_.tiles_per_unit();
    const Index fit = std::min((units + some - 1) / some, std::clamp<Index>((Index{1} << 21) / size, 1, 16));
    // Even shares for 2, 4, 8 … threads.
    const Index pieces = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(fit)));
    Scratch<T> others((pieces - 1) * size);
    const auto run_piece = [&](Index piece) {
      const Index first = units * piece / pieces, count = units * (piece + 1) / pieces - first;
      const Index blocks = (count + some - 1) / some;
      T* sum = piece == 0 ? dw : others.data() + (piece - 1) * size;
      for (Index b = 0; b < blocks; ++b) {
        const Index start = count * b / blocks;
        Terms terms(*this, {tiles_, first + start, first + count * (b + 1) / blocks});
        accumulate(terms, b > 0, sum);
      }
    };
    if (pieces >= available_threads()) {
      parallel_for(pieces, run_piece);
    } else {
      for (Index piece = 0; piece < pieces; ++piece) run_piece(piece);
    }
    add_pieces(pieces - 1, size, others.data(), dw);
  }

 private:
  using V = Vec<T, Isa>;

  // Tiles at a time: a panel of their operands, 32 channels of 36 positions of 112 tiles (500 KB), stays in the
  // second-level cache.
  static constexpr Index most = 36 * 112 / positions;

  // The transformed tiles of a block, the terms of the sums: x[position][panel][term][column] and
  // y[position][o/16][term][16].
  using Block = WinogradBlock<F, 1>;
  struct Terms {
    Terms(const WinogradWeightGradient& of, const Block& some)
        : block(some),
          count(block.groups()),
          stride_x(winograd_stride(count * of.g_.c)),
          stride_y(winograd_stride(count * of.g_.o)),
          x(positions * stride_x),
          y(positions * stride_y) {
      parallel_ranges(count, 8, [&](Index begin, Index end) {
        CompiledFor<Isa>::run([&] {
          for (Index t = begin; t < end; ++t) {
            if_whole<F>(block.kind_of(t), [&](auto whole) __attribute__((always_inline)) {
              of.template transform<whole()>(t, *this);
            });
          }
        });
      });
    }

    const Block block;
    const Index count, stride_x, stride_y;
    Scratch<T> x, y;
  };

  // dw = the terms' part of it, or +=.
  void accumulate(Terms& terms, bool add, T* dw) const {
    const Index down = g_.o / together;
    parallel_for(down * (g_.c / columns), [&](Index job) {
      const Index o = job % down * together, c = job / down * columns;
      CompiledFor<Isa>::run([&] {
        alignas(V) T u[matrices * together * columns];  // Σ over the terms of (A dy Aᵀ)ᵀ (Bᵀ x B)
        const T* x = terms.x.data() + c * terms.count;
        const T* y = terms.y.data() + o / row_runs * row_runs * terms.count + o % row_runs;
        for (int p = 0; p < positions; ++p, x += terms.stride_x, y += terms.stride_y) {
          const int row = F::filter_of(p / F::points), column = F::filter_of(p % F::points);
          const bool more = p != row * F::points + column;  // of a matrix that has its first terms
          const auto [from, to] = terms.block.range(p);
          T* to_u = u + (row * F::filters + column) * together * columns;
          multiply<0>(to - from, y + from * row_runs, x + from * columns, more, to_u);
        }
        for (Index i = 0; i < together; ++i) {
          for (Index j = 0; j < columns; j += lanes)
            gather(u + i * columns + j, add, dw + (o + i) * taps * g_.c + c + j);
        }
      });
    });
  }

  // Of a position, u (together,columns) = or += yᵀ·x from row `First` on: tiles of `Rows` rows, and one of
  // what is left.
  template <int First>
  [[gnu::always_inline]] static void multiply(Index depth, const T* y, const T* x, bool add, T* u) {
    constexpr int rows = std::min(Rows, together - First);
    multiply_tile<T, Isa, rows, Vectors>(depth, WholeRuns<T, 1, row_runs>{{y + First}}, x, columns,
                                         add ? Store::add : Store::plain, u + First * columns, columns);
    if constexpr (First + rows < together) multiply<First + rows>(depth, y, x, add, u);
  }

  // A register of channels of dU to its taps of dw.
  [[gnu::always_inline]] void gather(const T* from, bool add, T* dw) const {
    V g[taps];
    const Apart<T> rows(F::filters * together * columns);
    apply_both_ways<F::filters, F::taps, V>(
        [&](int s, V* column) { load_apart<T, Isa, F::filters>(from + s * together * columns, rows, column); },
        [](const V* a, V* b) { F::gather(a, b); },
        [&](int r, const V* row) {
          for (int s = 0; s < F::taps; ++s) g[r * F::taps + s] = row[s];
        });
    for (int k = 0; k < taps; ++k) {
      V before{};
      if (add) load<T, Isa>(dw + k * g_.c, before);
      store<T, Isa>(before + g[k], dw + k * g_.c);
    }
  }

  // Tile t of the block.
  template <bool Whole>
  [[gnu::always_inline]] void transform(Index t, Terms& terms) const {
    const auto& kind = terms.block.kind_of(t);
    const Index depth = terms.count, stride_x = terms.stride_x, stride_y = terms.stride_y;
    terms.block.each_tile(t, [&](const auto& place, Index) __attribute__((always_inline)) {
      const PictureWindow<T, Isa, F::inputs> in(place.picture, F::input_of(place.y) - g_.pad_h,
                                                F::input_of(place.x) - g_.pad_w, g_.h, g_.w, g_.c);
      for (Index c = 0; c < g_.c; c += lanes) {
        in.template ask_below<F::input_of(F::outputs)>(x_ + c);
        T* to = terms.x.data() + (c / columns * depth + t) * columns + c % columns;
        transform_tile<T, Isa, F, Whole>(in, kind, x_ + c, to, stride_x, [](auto count, const V* a, V* b) {
          F::template input<count()>(a, b);
        });
      }
      const PictureWindow<T, Isa, F::outputs> out(place.picture, place.y, place.x, g_.oh, g_.ow, g_.o);
      for (Index o = 0; o < g_.o; o += lanes) {
        out.template ask_below<F::outputs>(dy_ + o);
        T* to = terms.y.data() + (o / row_runs * depth + t) * row_runs + o % row_runs;
        transform_tile<T, Isa, F, Whole>(out, kind, dy_ + o, to, stride_y, [](auto count, const V* a, V* b) {
          F::template spread<count()>(a, b);
        });
      }
    });
  }

  const Conv2dGeometry& g_;
  const T* x_;
  const T* dy_;
  WinogradTiles<F> tiles_;
};

}  // namespace tenon::cpu
