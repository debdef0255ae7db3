// Gradients of float pictures by central differences, and their polar form.
//
// The polar form uses polynomials that compilers turn into vector code; their errors are stated and tested.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tenon/core/threads.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

// The functions below choose between constants only, never between results: g++ keeps a branch where an
// operation that may raise a floating-point exception would otherwise run for nothing, and a branch stops
// vectorisation.

// The angle of (x, y) in [0, 2π), from +x toward +y; 0 for (0, 0). Within 3e-6 rad.
inline float fast_angle(float y, float x) {
  constexpr auto pi = std::numbers::pi_v<float>;
  const float ax = std::fabs(x), ay = std::fabs(y);
  const bool steep = ax < ay;
  const float low = steep ? ax : ay, high = steep ? ay : ax;
  const float t = low / (high + 1e-30f), s = t * t;
  // arctan on [0, 1]: an odd minimax polynomial of degree 11.
  float a = -0.01172120f;
  a = a * s + 0.05265332f;
  a = a * s - 0.11643287f;
  a = a * s + 0.19354346f;
  a = a * s - 0.33262347f;
  a = a * s + 0.99997726f;
  a *= t;
  a = (steep ? pi / 2 : 0.0f) + (steep ? -1.0f : 1.0f) * a;
  a = (x < 0 ? pi : 0.0f) + (x < 0 ? -1.0f : 1.0f) * a;
  a = (y < 0 ? 2 * pi : 0.0f) + (y < 0 ? -1.0f : 1.0f) * a;
  return a * (a < 2 * pi ? 1.0f : 0.0f);
}

// √x for x >= 0, within 1e-5 of its value: Newton's iteration on 1/√x from a guess made of the exponent.
// Unlike std::sqrt, which may set errno, it does not keep a loop from being vectorised.
inline float fast_sqrt(float x) {
  const float positive = x + 1e-36f;  // its 1/√ has a square that is finite
  float y = std::bit_cast<float>(0x5F3759DF - (std::bit_cast<std::int32_t>(positive) >> 1));
  const float half = 0.5f * positive;
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  return x * y;
}

// e^x for -86 <= x <= 0, within 1e-5 of its value.
inline float fast_exp(float x) {
  const float t = x * std::numbers::log2e_v<float>;
  const auto whole = static_cast<std::int32_t>(t - 0.5f);  // rounds, as t <= 0
  const float f = (t - static_cast<float>(whole)) * std::numbers::ln2_v<float>;
  float p = 1.0f / 120;  // the series of e^f, |f| <= 0.35
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  return p * std::bit_cast<float>((whole + 127) << 23);
}

struct Gradient {
  Tensor<float> dx, dy;  // (H,W), per pixel
};

// x (H,W) -> central differences (x[i+1] - x[i-1]) / 2; at the border the difference to the one neighbour.
inline Gradient gradient(const Tensor<float>& x) {
  require<ShapeError>(x.rank() == 2 && x.numel() > 0, "gradient: a picture of shape ", x.shape(),
                      ", expected (H,W), not empty");
  const Index height = x.size(0), width = x.size(1);
  Gradient g{Tensor<float>(x.shape()), Tensor<float>(x.shape())};
  parallel_ranges(height, 32, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index above = i > 0 ? i - 1 : i, below = i + 1 < height ? i + 1 : i;
      const float *row = x.data() + i * width, *up = x.data() + above * width,
                  *down = x.data() + below * width;
      const float scale_y = below - above == 2 ? 0.5f : 1.0f;
      float *dx = g.dx.data() + i * width, *dy = g.dy.data() + i * width;
      for (Index j = 0; j < width; ++j) dy[j] = scale_y * (down[j] - up[j]);
      for (Index j = 1; j + 1 < width; ++j) dx[j] = 0.5f * (row[j + 1] - row[j - 1]);
      dx[0] = width > 1 ? row[1] - row[0] : 0.0f;
      if (width > 1) dx[width - 1] = row[width - 1] - row[width - 2];
    }
  });
  return g;
}

struct PolarGradient {
  Tensor<float> magnitude, angle;  // (H,W); the angle in [0, 2π), from +x toward +y
};

// The gradient in polar form, accurate as fast_sqrt and fast_angle are.
inline PolarGradient polar_gradient(const Tensor<float>& x) {
  Gradient g = gradient(x);
  float *dx = g.dx.data(), *dy = g.dy.data();
  parallel_ranges(x.numel(), 1 << 14, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const float angle = fast_angle(dy[i], dx[i]);
      dx[i] = fast_sqrt(dx[i] * dx[i] + dy[i] * dy[i]);
      dy[i] = angle;
    }
  });
  return {g.dx, g.dy};
}

}  // namespace tenon::image
