// The weights of a convolution, transformed by Winograd's method and packed for the register tile.
#pragma once

#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/backend/cpu/transpose.hpp"
#include "tenon/backend/cpu/winograd_window.hpp"

namespace tenon::cpu {

// The transformed weights U, matrices (in,out) that one position or several multiply by, as panels:
// U[matrix][panel][i][j].
template <class T, class Isa, class F, int Vectors>
class WinogradWeights {
 public:
  static constexpr int matrices = F::filters * F::filters, taps = F::taps * F::taps, lanes = lanes_of<T, Isa>;
  static constexpr Index columns = Vectors * lanes;
  enum class Use { forward, backward_data };

  // w (O,taps,taps,C); of its outputs `count` from `first`, a multiple of the columns. For backward_data inputs and
  // outputs change places and the taps turn by 180°.
  WinogradWeights(const T* w, Index o, Index c, Use use, Index first, Index count)
      : in_(use == Use::forward ? c : o),
        first_(first),
        panels_((count + columns - 1) / columns),
        stride_(winograd_stride(panels_ * in_ * columns)),
        data_(matrices * stride_) {
    if (use == Use::forward) {
      const T* rows = w + first * taps * c;
      parallel_for((count + lanes - 1) / lanes, [&](Index job) {
        CompiledFor<Isa>::run([&] { from_rows(rows, job * lanes, count, c); });
      });
    } else {
      parallel_for(
          o, [&](Index job) { CompiledFor<Isa>::run([&] { from_columns(w + first, job, c, count); }); });
    }
  }

  Index in() const { return in_; }
  Index first() const { return first_; }
  Index panels() const { return panels_; }
  static int matrix_of(int position) {
    return F::filter_of(position / F::points) * F::filters + F::filter_of(position % F::points);
  }
  const T* panel(Index matrix, Index p) const {
    return data_.data() + matrix * stride_ + p * in_ * columns;
  }

 private:
  using V = Vec<T, Isa>;

  // Output channels [o0, o0 + lanes): the taps are transposed, then transformed with outputs in the lanes.
  [[gnu::always_inline]] void from_rows(const T* w, Index o0, Index o, Index c) {
    const Index count = std::min<Index>(lanes, o - o0);
    // Too many lines are read side by side for the processor to foresee: ask for what comes two steps later.
    const Index ahead = 2 * lanes, more = o0 + 2 * lanes <= o ? lanes : 0;
    for (Index c0 = 0; c0 < c; c0 += lanes) {
      V all[taps][lanes];
      for (Index k = 0; k < taps; ++k) {
        for (Index r = 0; r < count; ++r) {
          load<T, Isa>(w + ((o0 + r) * taps + k) * c + c0, all[k][r]);
          __builtin_prefetch(w + ((o0 + r + (c0 + ahead < c ? 0 : more)) * taps + k) * c + (c0 + ahead) % c);
        }
        for (Index r = count; r < lanes; ++r) all[k][r] = V{};
        transpose<T, Isa>(all[k]);
      }
      T* out = data_.data() + (o0 / columns * in_ + c0) * columns + o0 % columns;
      for (Index r = 0; r < lanes; ++r, out += columns) {
        V g[taps], u[matrices];
        for (Index k = 0; k < taps; ++k) g[k] = all[k][r];
        apply_both_ways<F::taps, F::filters>(g, u, [](const V* from, V* to) { F::filter(from, to); });
        for (int i = 0; i < matrices; ++i) store<T, Isa>(u[i], out + i * stride_);
      }
    }
  }

  [[gnu::always_inline]] void from_columns(const T* w, Index o, Index c, Index count) {
    const Index later = std::min(o + 4, in_ - 1);  // with few columns the processor does not foresee the next lines
    for (Index c0 = 0; c0 < count; c0 += lanes) {
      V g[taps], u[matrices];
      for (Index k = 0; k < taps; ++k) {
        load<T, Isa>(w + (o * taps + taps - 1 - k) * c + c0, g[k]);
        __builtin_prefetch(w + (later * taps + k) * c + c0);
      }
      apply_both_ways<F::taps, F::filters>(g, u, [](const V* from, V* to) { F::filter(from, to); });
      T* out = data_.data() + (c0 / columns * in_ + o) * columns + c0 % columns;
      for (int i = 0; i < matrices; ++i) store<T, Isa>(u[i], out + i * stride_);
    }
  }

  Index in_, first_, panels_, stride_;
  Scratch<T> data_;
};

}  // namespace tenon::cpu
