// Convolution with few channels: a block of pictures, one in each lane of a register, is interleaved (a transpose),
// convolved, and separated again, all within the second-level cache; pooling and ReLU happen in between, where the
// convolution's own output never leaves the cache.
#pragma once

#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/epilogue.hpp"
#include "tenon/backend/cpu/lanes_filter.hpp"

namespace tenon::cpu {

// Few channels, many pictures, and no more than a block fits the second-level cache.
inline bool conv_lanes_fits(const Conv2dGeometry& g) {
  const Index block = 16 * (g.h * (g.w + 2 * g.kw) * g.c + g.oh * g.ow * g.o);  // values of both pictures
  return g.n >= 16 && g.groups == 1 && g.dilation_h == 1 && g.dilation_w == 1 && g.c <= 16 && g.o <= 16 &&
         g.kw <= 7 && g.pad_h < g.kh && g.pad_w < g.kw && block <= Index{1} << 19;
}

namespace detail {

// The weights w (O,KH,KW,C) in the order of the loops above: [ky][kx][c][o], and for dx
// [kh-1-ky][kw-1-kx][o][c].
template <class T>
std::vector<T> taps_forward(const Conv2dGeometry& g, const T* w) {
  const Index taps = g.taps();
  std::vector<T> out(static_cast<std::size_t>(taps * g.o));
  for (Index o = 0; o < g.o; ++o) {
    for (Index t = 0; t < taps; ++t) out[static_cast<std::size_t>(t * g.o + o)] = w[o * taps + t];
  }
  return out;
}

template <class T>
std::vector<T> taps_backward(const Conv2dGeometry& g, const T* w) {
  const Index places = g.kh * g.kw;
  std::vector<T> out(static_cast<std::size_t>(places * g.o * g.c));
  for (Index o = 0; o < g.o; ++o) {
    for (Index k = 0; k < places; ++k) {
      std::copy_n(w + (o * places + k) * g.c, g.c, out.data() + ((places - 1 - k) * g.o + o) * g.c);
    }
  }
  return out;
}

}  // namespace detail

// How a convolution with pictures in lanes goes: by filtering along the lines or not, with how many columns of zeros
// beside its pictures.
struct LanesPlan {
  bool filtered;
  Index margin;

  template <class T>
  static LanesPlan forward(const Conv2dGeometry& g) {
    const bool filtered =
        g.stride_h == 1 && g.stride_w == 1 && line_filter_pays<T>(g.kh, g.kw, g.c, g.o, g.ow, g.ow);
    return {filtered, g.pad_w + (filtered ? line_filter_margin(g.ow) : 0)};
  }
  // Of the gradient of x, where strides are 1: the convolution of dy, padded by kernel - 1 - padding.
  template <class T>
  static LanesPlan backward_data(const Conv2dGeometry& g) {
    const bool filtered = line_filter_pays<T>(g.kh, g.kw, g.o, g.c, g.w, g.ow);
    return {filtered, g.kw - 1 - g.pad_w + (filtered ? line_filter_margin(g.w) : 0)};
  }
  // Of the gradient of the weights: x has the margin of the forward direction, dy needs that of a last tile.
  template <class T>
  static LanesPlan backward_weights(const Conv2dGeometry& g) {
    const bool filtered = forward<T>(g).filtered;
    return {filtered, filtered ? line_filter_margin(g.ow) : 0};
  }

  // As the loops want them.
  template <class T>
  std::vector<T> taps(std::vector<T> plain, const Conv2dGeometry& g) const {
    return filtered ? filter_taps(plain, g.c * g.o) : plain;
  }
};

template <class T, class Isa>
void conv2d_forward_lanes(const Conv2dGeometry& g, const T* x, const T* w, const Epilogue<T>& finish, T* y) {
  using Pictures = InterleavedPictures<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  const auto plan = LanesPlan::forward<T>(g);
  const auto taps = plan.taps(detail::taps_forward(g, w), g);
  parallel_for((g.n + lanes - 1) / lanes, [&](Index block) {
    const Index first = block * lanes, count = std::min(lanes, g.n - first);
    Scratch<T> room_x(Pictures::room(g.h, g.w, g.c, plan.margin)), room_y(Pictures::room(g.oh, g.ow, g.o, 0));
    const Pictures from{g.h, g.w, g.c, plan.margin, room_x.data()}, to{g.oh, g.ow, g.o, 0, room_y.data()};
    CompiledFor<Isa>::run([&] { from.interleave(x + first * g.h * g.w * g.c, count); });
    convolve_lanes<T, Isa>({from, to, g.kh, g.kw, g.stride_h, g.stride_w, g.pad_h, g.pad_w, taps.data(), finish.bias},
                           plan.filtered);
    CompiledFor<Isa>::run([&] {
      const Index size = g.oh * g.ow * g.o;
      if (finish.relu && !finish.residual) {
        for (Index i = 0; i < size * lanes; ++i) to.data[i] = to.data[i] < 0 ? T(0) : to.data[i];
      }
      to.separate(count, y + first * size);
      if (finish.residual) {  // picture by picture, as it lies in memory
        const Epilogue<T> rest{.residual = finish.residual, .relu = finish.relu, .row = size};
        for (Index i = first; i < first + count; ++i) rest(i, 0, size, y + i * size);
      }
    });
  });
}

// Stride 1: the convolution of dy, padded by kernel - 1 - padding, with the turned weights.
template <class T, class Isa>
void conv2d_backward_data_lanes(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  using Pictures = InterleavedPictures<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  const auto plan = LanesPlan::backward_data<T>(g);
  const auto taps = plan.taps(detail::taps_backward(g, w), g);
  parallel_for((g.n + lanes - 1) / lanes, [&](Index block) {
    const Index first = block * lanes, count = std::min(lanes, g.n - first);
    Scratch<T> room_y(Pictures::room(g.oh, g.ow, g.o, plan.margin)), room_x(Pictures::room(g.h, g.w, g.c, 0));
    const Pictures from{g.oh, g.ow, g.o, plan.margin, room_y.data()}, to{g.h, g.w, g.c, 0, room_x.data()};
    CompiledFor<Isa>::run([&] { from.interleave(dy + first * g.oh * g.ow * g.o, count); });
    convolve_lanes<T, Isa>(
        {from, to, g.kh, g.kw, 1, 1, g.kh - 1 - g.pad_h, g.kw - 1 - g.pad_w, taps.data(), nullptr}, plan.filtered);
    CompiledFor<Isa>::run([&] { to.separate(count, dx + first * g.h * g.w * g.c); });
  });
}

// Each block of pictures has a sum of its own; they are added in order.
template <class T, class Isa>
void conv2d_backward_weights_lanes(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  using Pictures = InterleavedPictures<T, Isa>;
  constexpr Index lanes = lanes_of<T, Isa>;
  const Index margin = LanesPlan::forward<T>(g).margin;
  const auto plan = LanesPlan::backward_weights<T>(g);
  const Index size = weight_totals(g, plan.filtered), blocks = (g.n + lanes - 1) / lanes;
  std::vector<T> totals(static_cast<std::size_t>(blocks * size), T(0));
  parallel_for(blocks, [&](Index block) {
    const Index first = block * lanes, count = std::min(lanes, g.n - first);
    Scratch<T> room_x(Pictures::room(g.h, g.w, g.c, margin)), room_y(Pictures::room(g.oh, g.ow, g.o, plan.margin));
    Scratch<T> registers(LanesWeightGradient<T, Isa>::room(g));
    const Pictures pictures{g.h, g.w, g.c, margin, room_x.data()},
        gradient{g.oh, g.ow, g.o, plan.margin, room_y.data()};
    CompiledFor<Isa>::run([&] {
      pictures.interleave(x + first * g.h * g.w * g.c, count);
      gradient.interleave(dy + first * g.oh * g.ow * g.o, count);
    });
    add_weight_gradient_of_lanes<T, Isa>({pictures, gradient, g.kh, g.kw, g.stride_h, g.stride_w, g.pad_h,
                                          g.pad_w, registers.data(), totals.data() + block * size},
                                         plan.filtered);
  });
  add_pieces(blocks - 1, size, totals.data() + size, totals.data());
  arrange_weight_totals<T, Isa>(g, plan.filtered, totals.data(), dw);
}

}  // namespace tenon::cpu
