// Pooling and resampling, forward and backward.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

template <class T>
void check_pool(Pool2dGeometry g) {
  g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, 1);
  g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, 1);
  const Index x = g.n * g.h * g.w * g.c, y = g.n * g.oh * g.ow * g.c;
  const auto name = [&](const char* op) {
    return text(op, " (", g.n, ",", g.h, ",", g.w, ",", g.c, ") window ", g.kh, "x", g.kw, " stride ",
                g.stride_h, " pad ", g.pad_h);
  };
  // Rounded, so that there are ties.
  auto values = numbers(x, 61, 0, 8);
  for (double& v : values) v = std::floor(v);
  parity::compare<T>({.name = name("max_pool"), .inputs = {values, numbers(y, 62)}, .outputs = {y, y, x}},
                     [&](auto d, const auto& in, const auto& out) {
                       using D = decltype(d);
                       Tensor<std::int32_t, D> index({y});
                       Backend<D>::max_pool_forward(g, in[0], out[0], index.data());
                       Backend<D>::convert(std::as_const(index).data(), out[1], y);
                       Backend<D>::max_pool_backward(g, in[1], std::as_const(index).data(), out[2]);
                     });
  parity::compare<T>(
      {.name = name("avg_pool"), .inputs = {numbers(x, 63), numbers(y, 64)}, .outputs = {y, x}, .slack = 2},
      [&](auto d, const auto& in, const auto& out) {
        Backend<decltype(d)>::avg_pool_forward(g, in[0], out[0]);
        Backend<decltype(d)>::avg_pool_backward(g, in[1], out[1]);
      });
}

template <class T>
void check_resize(ResizeGeometry g) {
  const Index x = g.n * g.h * g.w * g.c, y = g.n * g.oh * g.ow * g.c;
  const auto name = [&](const char* op) {
    return text(op, " (", g.n, ",", g.h, ",", g.w, ",", g.c, ") to ", g.oh, "x", g.ow,
                g.align_corners ? " corners" : "");
  };
  const parity::Case both{
      .name = {}, .inputs = {numbers(x, 65), numbers(y, 66)}, .outputs = {y, x}, .slack = 2};
  const auto named = [&](const char* op) {
    auto c = both;
    c.name = name(op);
    return c;
  };
  parity::compare<T>(named("adaptive_avg_pool"), [&](auto d, const auto& in, const auto& out) {
    Backend<decltype(d)>::adaptive_avg_pool_forward(g, in[0], out[0]);
    Backend<decltype(d)>::adaptive_avg_pool_backward(g, in[1], out[1]);
  });
  parity::compare<T>(named("upsample_nearest"), [&](auto d, const auto& in, const auto& out) {
    Backend<decltype(d)>::upsample_nearest_forward(g, in[0], out[0]);
    Backend<decltype(d)>::upsample_nearest_backward(g, in[1], out[1]);
  });
  parity::compare<T>(named("upsample_bilinear"), [&](auto d, const auto& in, const auto& out) {
    Backend<decltype(d)>::upsample_bilinear_forward(g, in[0], out[0]);
    Backend<decltype(d)>::upsample_bilinear_backward(g, in[1], out[1]);
  });
}

template <class T>
void check_all() {
  check_pool<T>({.n = 3, .h = 8, .w = 10, .c = 6, .kh = 2, .kw = 2, .stride_h = 2, .stride_w = 2});
  check_pool<T>({.n = 2,
                 .h = 9,
                 .w = 7,
                 .c = 5,
                 .kh = 3,
                 .kw = 3,
                 .stride_h = 2,
                 .stride_w = 1,
                 .pad_h = 1,
                 .pad_w = 1});
  check_pool<T>({.n = 2, .h = 7, .w = 7, .c = 3, .kh = 1, .kw = 1, .stride_h = 2, .stride_w = 2});
  check_pool<T>({.n = 1, .h = 5, .w = 5, .c = 1, .kh = 5, .kw = 5, .stride_h = 5, .stride_w = 5});
  for (const bool corners : {false, true}) {
    check_resize<T>({.n = 2, .h = 5, .w = 7, .c = 3, .oh = 10, .ow = 14, .align_corners = corners});
    check_resize<T>({.n = 2, .h = 5, .w = 7, .c = 3, .oh = 8, .ow = 3, .align_corners = corners});
    check_resize<T>({.n = 1, .h = 1, .w = 4, .c = 2, .oh = 3, .ow = 1, .align_corners = corners});
    check_resize<T>({.n = 2, .h = 8, .w = 8, .c = 4, .oh = 1, .ow = 1, .align_corners = corners});
    check_resize<T>({.n = 1, .h = 13, .w = 2, .c = 1, .oh = 5, .ow = 31, .align_corners = corners});
  }
}

}  // namespace

TEST_CASE("pooling and resampling") {
  if (!parity::device("pooling and resampling")) return;
  check_all<float>();
  check_all<double>();
}
