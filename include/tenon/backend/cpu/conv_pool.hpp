// Convolution, ReLU and maximum pooling together, so that the convolution's output, often four times as large as what
// is left of it, need not go through main memory. With few channels and windows of 2×2 it is one pass over a block of
// pictures, forward and backward; where no gradient is wanted, it is the two operations for a few pictures at a time.
#pragma once

#include <cstdint>

#include "tenon/backend/cpu/conv.hpp"
#include "tenon/backend/cpu/lanes_pool.hpp"
#include "tenon/backend/cpu/pool.hpp"

namespace tenon::cpu {

// Windows of 2×2, side by side, over a convolution that the interleaved kernels serve.
inline bool conv_pool_fits(const Conv2dGeometry& g, const Pool2dGeometry& p) {
  return conv_lanes_fits(g) && g.stride_h == 1 && g.stride_w == 1 && p.kh == 2 && p.kw == 2 &&
         p.stride_h == 2 && p.stride_w == 2 && p.pad_h == 0 && p.pad_w == 0;
}

// Bytes that the forward pass leaves for the backward pass: for each result the position in its window, or 4
// where ReLU gave 0 and no gradient passes. Those of a picture fill whole numbers of any type.
inline Index conv_pool_codes_of_picture(const Conv2dGeometry& g, const Pool2dGeometry& p) {
  return (p.oh * p.ow * g.o + 7) / 8 * 8;
}
inline Index conv_pool_codes(const Conv2dGeometry& g, const Pool2dGeometry& p) {
  return (g.n + 15) / 16 * 16 * conv_pool_codes_of_picture(g, p);
}

// y (N,PH,PW,O) = max_pool(relu(conv(x) + bias)); bias may be null. codes: conv_pool_codes() bytes.
template <class T, class Isa>
void conv_pool_forward_on(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w,
                          const T* bias, T* y, std::uint8_t* codes) {
  using Pictures = InterleavedPictures<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  const auto plan = LanesPlan::forward<T>(g);
  const auto taps = plan.taps(detail::taps_forward(g, w), g);
  parallel_for((g.n + lanes - 1) / lanes, [&](Index block) {
    const Index first = block * lanes, count = std::min(lanes, g.n - first), results = p.oh * p.ow * g.o;
    Scratch<T> room_x(Pictures::room(g.h, g.w, g.c, plan.margin)),
        room_pooled(Pictures::room(p.oh, p.ow, g.o, 0));
    const Pictures from{g.h, g.w, g.c, plan.margin, room_x.data()},
        pooled{p.oh, p.ow, g.o, 0, room_pooled.data()};
    const LanesConvolution<T, Isa> convolution{
        from, {g.oh, g.ow, g.o, 0, nullptr}, g.kh, g.kw, 1, 1, g.pad_h, g.pad_w, taps.data(), bias};
    CompiledFor<Isa>::run([&] { from.interleave(x + first * g.h * g.w * g.c, count); });
    detail::pool_convolution(convolution, plan.filtered, pooled,
                             codes + first * conv_pool_codes_of_picture(g, p));
    CompiledFor<Isa>::run([&] { pooled.separate(count, y + first * results); });
  });
}

// dx (may be null), dw and dbias (may be null) from dy and the codes of the forward pass. The sums of each
// block of pictures are added in order.
template <class T, class Isa>
void conv_pool_backward_on(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w,
                           const T* dy, const std::uint8_t* codes, T* dx, T* dw, T* dbias) {
  using Pictures = InterleavedPictures<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  const auto data = LanesPlan::backward_data<T>(g), weights = LanesPlan::backward_weights<T>(g);
  const Index size = weight_totals(g, weights.filtered), blocks = (g.n + lanes - 1) / lanes,
              margin_x = LanesPlan::forward<T>(g).margin;
  const Index margin = dx ? std::max(data.margin, weights.margin) : weights.margin;
  const bool written = dx || !weights.filtered;  // the gradient of the convolution, as it lies
  const auto taps = dx ? data.taps(detail::taps_backward(g, w), g) : std::vector<T>{};
  std::vector<T> sums(static_cast<std::size_t>(blocks * (size + g.o)), T(0));  // of weights, then of biases
  parallel_for(blocks, [&](Index block) {
    const Index first = block * lanes, count = std::min(lanes, g.n - first), results = p.oh * p.ow * g.o;
    T* sum = sums.data() + block * (size + g.o);
    Scratch<T> room_x(Pictures::room(g.h, g.w, g.c, margin_x)),
        room_y(written ? Pictures::room(g.oh, g.ow, g.o, margin) : 0),
        room_pooled(Pictures::room(p.oh, p.ow, g.o, 0)), registers(LanesWeightGradient<T, Isa>::room(g));
    const Pictures pictures{g.h, g.w, g.c, margin_x, room_x.data()},
        conv{g.oh, g.ow, g.o, margin, room_y.data()}, pooled{p.oh, p.ow, g.o, 0, room_pooled.data()},
        out{g.h, g.w, g.c, 0, room_x.data()};
    const LanesWeightGradient<T, Isa> gradient{pictures,         conv, g.kh, g.kw, 1, 1, g.pad_h, g.pad_w,
                                               registers.data(), sum};
    const std::uint8_t* places = codes + first * conv_pool_codes_of_picture(g, p);
    CompiledFor<Isa>::run([&] {
      pooled.interleave(dy + first * results, count);
      pictures.interleave(x + first * g.h * g.w * g.c, count);
    });
    if constexpr (std::same_as<T, float>) {
      if (!written) return detail::add_weight_gradient_unpooled(gradient, pooled, places, sum + size);
    }
    CompiledFor<Isa>::run([&] {
      conv.clear_margins();
      detail::Unpooling<T, Isa> unpooling(pooled, places);
      unpooling.write(conv);
      unpooling.add_sums(sum + size);
    });
    add_weight_gradient_of_lanes(gradient, weights.filtered);
    if (!dx) return;
    convolve_lanes<T, Isa>({conv, out, g.kh, g.kw, 1, 1, g.kh - 1 - g.pad_h, g.kw - 1 - g.pad_w, taps.data(), nullptr},
                           data.filtered);
    CompiledFor<Isa>::run([&] { out.separate(count, dx + first * g.h * g.w * g.c); });
  });
  T* total = sums.data();
  add_pieces(blocks - 1, size + g.o, total + size + g.o, total);
  arrange_weight_totals<T, Isa>(g, weights.filtered, total, dw);
  if (dbias) std::copy_n(total + size, g.o, dbias);
}

// Where nothing is kept for a gradient: y (n,oh,ow,o) of `p` is the largest value in each window of relu(conv(x) +
// bias); bias (o) may be null.
template <class T>
void conv2d_relu_max_pool2d(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, ConvWeights<T> w,
                            const T* bias, T* y) {
  constexpr Index near = Index{1} << 22;  // bytes that stay in the third-level cache between the two
  const Index size = g.oh * g.ow * g.o, fit = std::max<Index>(1, near / (size * static_cast<Index>(sizeof(T))));
  const Index parts = std::max<Index>(1, (g.n + fit - 1) / fit), some = (g.n + parts - 1) / parts;
  Scratch<T> convolved(some * size);
  Conv2dGeometry conv = g;
  Pool2dGeometry pool = p;
  for (Index first = 0; first < g.n; first += some) {
    conv.n = pool.n = std::min(some, g.n - first);
    conv2d_forward<T>(conv, x + first * g.h * g.w * g.c, w, {.bias = bias, .relu = true}, convolved.data());
    max_pool_forward(pool, convolved.data(), y + first * p.oh * p.ow * p.c);
  }
}

template <class T>
void conv_pool_forward(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w,
                       const T* bias, T* y, std::uint8_t* codes) {
  with_best_isa([&](auto isa) { conv_pool_forward_on<T, decltype(isa)>(g, p, x, w, bias, y, codes); });
}

template <class T>
void conv_pool_backward(const Conv2dGeometry& g, const Pool2dGeometry& p, const T* x, const T* w, const T* dy,
                        const std::uint8_t* codes, T* dx, T* dw, T* dbias) {
  with_best_isa(
      [&](auto isa) { conv_pool_backward_on<T, decltype(isa)>(g, p, x, w, dy, codes, dx, dw, dbias); });
}

}  // namespace tenon::cpu
