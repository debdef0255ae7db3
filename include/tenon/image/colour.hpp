// Colour spaces: gray, floating-point pixels and HSV (Smith 1978, "Color gamut transform pairs").
//
// Bytes are 0 … 255, floats 0 … 1. Gray is the luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

namespace detail {

// (H,W,C) with C 1 … 4, or ShapeError.
inline void check_picture(const Shape& shape, const char* who) {
  require<ShapeError>(shape.rank() == 3 && shape[2] >= 1 && shape[2] <= 4, who, ": shape ", shape,
                      ", expected (H,W,C) with 1 to 4 channels");
}
inline void check_rgb(const Shape& shape, const char* who) {
  require<ShapeError>(shape.rank() == 3 && shape[2] == 3, who, ": shape ", shape, ", expected (H,W,3)");
}

template <class T>
Tensor<float> gray_of(const Tensor<T>& x, float unit, const char* who) {
  check_picture(x.shape(), who);
  Tensor<float> y({x.size(0), x.size(1)});
  const Index channels = x.size(2);
  const T* from = x.data();
  float* to = y.data();
  for (Index i = 0; i < y.numel(); ++i, from += channels) {
    const auto value = [&](Index c) { return static_cast<float>(from[c]); };
    to[i] = unit * (channels < 3 ? value(0) : 0.299f * value(0) + 0.587f * value(1) + 0.114f * value(2));
  }
  return y;
}

}  // namespace detail

// x (H,W,C), C: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha -> (H,W) in 0 … 1; alpha is left out.
inline Tensor<float> to_gray(const Tensor<std::uint8_t>& x) {
  return detail::gray_of(x, 1 / 255.0f, "to_gray");
}
inline Tensor<float> to_gray(const Tensor<float>& x) { return detail::gray_of(x, 1, "to_gray"); }

// Bytes to 0 … 1, any shape.
inline Tensor<float> to_float(const Tensor<std::uint8_t>& x) {
  Tensor<float> y(x.shape());
  std::transform(x.data(), x.data() + x.numel(), y.data(),
                 [](std::uint8_t v) { return static_cast<float>(v) / 255; });
  return y;
}

// 0 … 1 to bytes, rounded; what lies outside is clamped and NaN becomes 0.
inline Tensor<std::uint8_t> to_bytes(const Tensor<float>& x) {
  Tensor<std::uint8_t> y(x.shape());
  std::transform(x.data(), x.data() + x.numel(), y.data(), [](float v) {
    return static_cast<std::uint8_t>(v > 0 ? std::min(v, 1.0f) * 255 + 0.5f : 0.0f);
  });
  return y;
}

// Gray in three equal channels: x (H,W) in 0 … 1, or bytes (H,W,1 … 4) -> bytes (H,W,3), to draw on.
inline Tensor<std::uint8_t> gray_to_rgb(const Tensor<float>& x) {
  require<ShapeError>(x.rank() == 2, "gray_to_rgb: shape ", x.shape(), ", expected (H,W)");
  const Tensor<std::uint8_t> bytes = to_bytes(x);
  Tensor<std::uint8_t> y({x.size(0), x.size(1), 3});
  for (Index i = 0; i < bytes.numel(); ++i) std::fill_n(y.data() + 3 * i, 3, bytes.data()[i]);
  return y;
}
inline Tensor<std::uint8_t> to_rgb(const Tensor<std::uint8_t>& x) {
  detail::check_picture(x.shape(), "to_rgb");
  const Index channels = x.size(2);
  Tensor<std::uint8_t> y({x.size(0), x.size(1), 3});
  for (Index i = 0; i < x.size(0) * x.size(1); ++i) {
    for (Index c = 0; c < 3; ++c) y.data()[3 * i + c] = x.data()[channels * i + (channels < 3 ? 0 : c)];
  }
  return y;
}

// x (H,W,3) RGB -> (H,W,3): hue in 0 … 1 (red 0, green 1/3, blue 2/3), saturation, value. Grays have hue 0.
inline Tensor<float> rgb_to_hsv(const Tensor<float>& x) {
  detail::check_rgb(x.shape(), "rgb_to_hsv");
  Tensor<float> y(x.shape());
  for (Index i = 0; i < x.numel(); i += 3) {
    const float r = x.data()[i], g = x.data()[i + 1], b = x.data()[i + 2];
    const float high = std::max({r, g, b}), spread = high - std::min({r, g, b});
    float hue = 0;
    if (spread > 0) {
      if (high == r)
        hue = (g - b) / spread;
      else if (high == g)
        hue = 2 + (b - r) / spread;
      else
        hue = 4 + (r - g) / spread;
      hue /= 6;
      if (hue < 0) hue += 1;
    }
    y.data()[i] = hue;
    y.data()[i + 1] = high > 0 ? spread / high : 0;
    y.data()[i + 2] = high;
  }
  return y;
}

// The inverse; a hue outside 0 … 1 goes round the circle.
inline Tensor<float> hsv_to_rgb(const Tensor<float>& x) {
  detail::check_rgb(x.shape(), "hsv_to_rgb");
  Tensor<float> y(x.shape());
  for (Index i = 0; i < x.numel(); i += 3) {
    const float hue = x.data()[i], saturation = x.data()[i + 1], value = x.data()[i + 2];
    // Channel n loses saturation the further the hue is from its own third of the circle.
    const auto channel = [&](float n) {
      const float k = std::fmod(n + 6 * (hue - std::floor(hue)), 6.0f);
      return value - value * saturation * std::clamp(std::min(k, 4 - k), 0.0f, 1.0f);
    };
    y.data()[i] = channel(5);
    y.data()[i + 1] = channel(3);
    y.data()[i + 2] = channel(1);
  }
  return y;
}

}  // namespace tenon::image
