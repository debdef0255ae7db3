// Convolution forward and both gradients: strides, padding, dilation, groups, depthwise, one channel, one
// pixel.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

template <class T>
void check_conv(Conv2dGeometry g) {
  g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
  g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
  const Index x = g.n * g.h * g.w * g.c, w = g.o * g.taps(), y = g.n * g.oh * g.ow * g.o;
  const auto name = [&](const char* op) {
    return text(op, " (", g.n, ",", g.h, ",", g.w, ",", g.c, ") with ", g.o, "@", g.kh, "x", g.kw, " stride ",
                g.stride_h, ",", g.stride_w, " pad ", g.pad_h, ",", g.pad_w, " dilation ", g.dilation_h, ",",
                g.dilation_w, " groups ", g.groups);
  };
  parity::compare<T>({.name = name("conv2d"),
                      .inputs = {numbers(x, 41), numbers(w, 42), numbers(g.o, 43)},
                      .outputs = {y},
                      .slack = 4},
                     [&](auto d, const auto& in, const auto& out) {
                       Backend<decltype(d)>::conv2d_forward(g, in[0], in[1], in[2], out[0]);
                     });
  parity::compare<T>({.name = name("conv2d without bias"),
                      .inputs = {numbers(x, 41), numbers(w, 42)},
                      .outputs = {y},
                      .slack = 4},
                     [&](auto d, const auto& in, const auto& out) {
                       decltype(in[0]) none = nullptr;
                       Backend<decltype(d)>::conv2d_forward(g, in[0], in[1], none, out[0]);
                     });
  parity::compare<T>({.name = name("conv2d backward data"),
                      .inputs = {numbers(y, 44), numbers(w, 42)},
                      .outputs = {x},
                      .slack = 4},
                     [&](auto d, const auto& in, const auto& out) {
                       Backend<decltype(d)>::conv2d_backward_data(g, in[0], in[1], out[0]);
                     });
  parity::compare<T>({.name = name("conv2d backward weights"),
                      .inputs = {numbers(x, 41), numbers(y, 44)},
                      .outputs = {w},
                      .slack = 4},
                     [&](auto d, const auto& in, const auto& out) {
                       Backend<decltype(d)>::conv2d_backward_weights(g, in[0], in[1], out[0]);
                     });
}

template <class T>
void check_all() {
  check_conv<T>({.n = 1, .h = 1, .w = 1, .c = 1, .o = 1, .kh = 1, .kw = 1});
  check_conv<T>({.n = 3, .h = 9, .w = 7, .c = 3, .o = 5, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check_conv<T>({.n = 2, .h = 14, .w = 11, .c = 6, .o = 16, .kh = 5, .kw = 5});
  check_conv<T>(
      {.n = 2, .h = 9, .w = 12, .c = 4, .o = 8, .kh = 3, .kw = 2, .stride_h = 2, .stride_w = 3, .pad_h = 1});
  check_conv<T>({.n = 2,
                 .h = 11,
                 .w = 13,
                 .c = 8,
                 .o = 4,
                 .kh = 3,
                 .kw = 3,
                 .pad_h = 2,
                 .pad_w = 2,
                 .dilation_h = 2,
                 .dilation_w = 2});
  check_conv<T>(
      {.n = 2, .h = 8, .w = 8, .c = 12, .o = 6, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 3});
  check_conv<T>(
      {.n = 2, .h = 7, .w = 9, .c = 16, .o = 16, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 16});
  check_conv<T>({.n = 4, .h = 16, .w = 16, .c = 16, .o = 32, .kh = 1, .kw = 1, .stride_h = 2, .stride_w = 2});
}

}  // namespace

TEST_CASE("conv2d") {
  if (!parity::device("conv2d")) return;
  check_all<float>();
  check_all<double>();
  check_all<half>();
  check_all<bfloat16>();
}

TEST_CASE("conv2d of the networks' sizes") {
  if (!parity::device("conv2d of the networks' sizes")) return;
  check_conv<float>({.n = 64, .h = 32, .w = 32, .c = 3, .o = 3, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check_conv<float>({.n = 64, .h = 32, .w = 32, .c = 3, .o = 6, .kh = 5, .kw = 5});
  check_conv<float>({.n = 32, .h = 16, .w = 16, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check_conv<float>({.n = 32,
                     .h = 32,
                     .w = 32,
                     .c = 16,
                     .o = 32,
                     .kh = 3,
                     .kw = 3,
                     .stride_h = 2,
                     .stride_w = 2,
                     .pad_h = 1,
                     .pad_w = 1});
}
