// 3×3 convolution with stride 1 or 2, and 4×4 with stride 1, by Winograd's method, forward and both gradients (Lavin &
// Gray 2016).
//
// The picture is cut into tiles of m×m outputs. Each tile's inputs, (m+2)×(m+2) for 3×3 with stride 1, are transformed,
// which leaves, for each of the (m+2)² positions, one matrix product over the channels: tiles × C times C × O. The
// transforms move whole registers of channels, so they write the operands in just the order in which the
// register tile reads them.
#pragma once

#include <memory>
#include <optional>

#include "tenon/backend/cpu/conv_weights.hpp"
#include "tenon/backend/cpu/winograd_convolution.hpp"
#include "tenon/backend/cpu/winograd_four_taps.hpp"
#include "tenon/backend/cpu/winograd_strided.hpp"
#include "tenon/backend/cpu/winograd_weight_gradient.hpp"

namespace tenon::cpu {

// Channels come in runs of 16 here: one register of the widest instruction set, a chunk of a packed row.
template <class F>
bool winograd_fits(const Conv2dGeometry& g) {
  const auto pads = [](Index pad) { return F::stride == 1 ? pad < F::taps : pad == 1; };
  return g.h > 0 && g.w > 0 && g.kh == F::taps && g.kw == F::taps && g.stride_h == F::stride &&
         g.stride_w == F::stride && g.dilation_h == 1 && g.dilation_w == 1 && g.groups == 1 && g.c % row_runs == 0 &&
         g.o % row_runs == 0 && pads(g.pad_h) && pads(g.pad_w);
}

// Tiles in a block. Its operands stay in the second-level cache while that leaves the weights enough use. With stride 2
// a tile has twice the positions, and several of them use the same weights.
template <class F>
Index winograd_block_tiles(const Conv2dGeometry& g) {
  const Index wide = std::max(g.c, g.o);
  return F::stride == 1 ? std::clamp<Index>(wide / 2, 48, 256) : std::clamp<Index>(wide / 8, 24, 64);
}

namespace detail {

template <class T, class Isa, class F, int Rows, int Vectors, class Finish>
void winograd_convolve(const Conv2dGeometry& g, const T* x, ConvWeights<T> w, bool data, Index terms,
                       const Finish& finish, T* y) {
  using Weights = WinogradWeights<T, Isa, F, Vectors>;
  using Convolution = WinogradConvolution<T, Isa, F, Rows, Vectors, Finish>;
  const auto use = data ? Weights::Use::backward_data : Weights::Use::forward;
  const Index h = data ? g.oh : g.h, width = data ? g.ow : g.w, oh = data ? g.h : g.oh,
              ow = data ? g.w : g.ow, out = data ? g.c : g.o;
  // The paddings of the forward direction and of the gradient add up to this.
  constexpr Index pads = F::stride == 1 ? F::taps - 1 : 1;
  const Index most = (winograd_block_tiles<F>(g) + Rows - 1) / Rows * Rows;
  const auto tiles = winograd_tiles<F, Rows>(g.n, oh, ow, most);
  const Convolution convolution{.h = h,
                                .w = width,
                                .oh = oh,
                                .ow = ow,
                                .pad_h = data ? pads - g.pad_h : g.pad_h,
                                .pad_w = data ? pads - g.pad_w : g.pad_w,
                                .in = data ? g.o : g.c,
                                .out = out,
                                .terms = terms,
                                .x = x,
                                .y = y,
                                .finish = finish,
                                .tiles = tiles,
                                .units = winograd_units<F, Rows>(tiles, most)};
  if constexpr (requires { finish.moments; }) {
    if (finish.moments) finish.moments->start(convolution.values_of_groups());
  }
  const Index blocks = convolution.blocks();
  const auto all = [&] { return std::make_shared<const Weights>(w.data, g.o, g.c, use, 0, out); };
  const std::shared_ptr<const Weights> kept =
      w.forms ? w.forms->template get<Weights>(w.data, {g.o, g.c}, all) : nullptr;
  if (blocks <= 1) {
    // Few tiles: the weights are the larger operand, and unless they are kept only a panel of them exists at
    // a time.
    typename Convolution::Inputs v(convolution, 0);
    return parallel_for((out + Weights::columns - 1) / Weights::columns, [&](Index panel) {
      if (kept) return convolution.outputs(v, *kept, panel, panel + 1, true);
      const Index first = panel * Weights::columns;
      const Weights weights(w.data, g.o, g.c, use, first, std::min(Weights::columns, out - first));
      convolution.outputs(v, weights, 0, 1, false);
    });
  }
  const std::shared_ptr<const Weights> weights = kept ? kept : all();
  const auto block = [&](Index b) {
    typename Convolution::Inputs v(convolution, b);
    // What the products write is to stay in the second-level cache until it is transformed: some panels at a time.
    constexpr Index kept_bytes = 600000;
    const Index panels = weights->panels(),
                each = F::points * F::points * v.block.groups() * Rows * Weights::columns * Index{sizeof(T)},
                parts = std::min(panels, (panels * each + kept_bytes - 1) / kept_bytes);
    for (Index part = 0; part < parts; ++part)
      convolution.outputs(v, *weights, panels * part / parts, panels * (part + 1) / parts, false);
  };
  if (blocks >= 2 * available_threads()) return parallel_for(blocks, block);
  for (Index b = 0; b < blocks; ++b) block(b);
}

}  // namespace detail

// Where x has channels of zeros for the sake of 16, the first `terms` are the others.
template <class T, class Isa, class F, class Finish>
void winograd_forward(const Conv2dGeometry& g, const T* x, std::type_identity_t<ConvWeights<T>> w, const Finish& finish,
                      T* y, std::optional<Index> terms = {}) {
  if (Isa::bytes == 64 && g.o <= lanes_of<T, Isa>) {
    return detail::winograd_convolve<T, Isa, F, 2 * Isa::rows, 1>(g, x, w, false, terms.value_or(g.c), finish, y);
  }
  detail::winograd_convolve<T, Isa, F, Isa::rows, Isa::vectors>(g, x, w, false, terms.value_or(g.c), finish, y);
}

template <class T, class Isa, class F, class Finish>
void winograd_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, const Finish& finish, T* dx) {
  if (Isa::bytes == 64 && g.c <= lanes_of<T, Isa>) {
    return detail::winograd_convolve<T, Isa, typename F::Data, 2 * Isa::rows, 1>(g, dy, w, true, g.o, finish, dx);
  }
  detail::winograd_convolve<T, Isa, typename F::Data, Isa::rows, Isa::vectors>(g, dy, w, true, g.o, finish, dx);
}

template <class T, class Isa, class F>
void winograd_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  if constexpr (Isa::bytes == 64) {
    if (g.c % (2 * lanes_of<T, Isa>) == 0) return WinogradWeightGradient<T, Isa, F, 8, 2>(g, x, dy).run(dw);
    WinogradWeightGradient<T, Isa, F, 16, 1>(g, x, dy).run(dw);
  } else {
    WinogradWeightGradient<T, Isa, F, 6, 2>(g, x, dy).run(dw);
  }
}

}  // namespace tenon::cpu
