// Changing the size of a picture, with the semantics of Pillow: when a picture shrinks, the filter widens
// with the scale, so that every source pixel counts and nothing aliases. Bytes come out exactly as Pillow's.
//
//   image::resize(picture, {.height = 224, .width = 224, .filter = image::Filter::bicubic});
//
// The bicubic kernel is Keys 1981, "Cubic convolution interpolation for digital image processing", with a =
// -1/2.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tenon/core/threads.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

// nearest takes the source pixel under the new pixel's centre; area is the mean of the source pixels covered.
enum class Filter { nearest, bilinear, bicubic, area };

struct ResizeOptions {
  Index height = 0, width = 0;
  Filter filter = Filter::bilinear;
  Index max_elements = Index{1} << 30;  // of the new picture, all channels; more is an error
};

namespace detail {

inline double filter_support(Filter f) { return f == Filter::area ? 0.5 : f == Filter::bilinear ? 1.0 : 2.0; }

inline double filter_value(Filter f, double x) {
  if (f == Filter::area) return x > -0.5 && x <= 0.5 ? 1 : 0;
  x = std::abs(x);
  if (f == Filter::bilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// For each new position the source positions first … first+count-1 and their weights, which add up to 1.
struct ResizeWeights {
  Index stride;
  std::vector<Index> first, count;
  std::vector<double> weights;  // stride a position

  ResizeWeights(Index from, Index to, Filter filter) {
    const double scale = static_cast<double>(from) / static_cast<double>(to), widened = std::max(scale, 1.0);
    const double support = filter_support(filter) * widened;
    stride = 2 * static_cast<Index>(std::ceil(support)) + 1;
    weights.resize(static_cast<std::size_t>(stride * to));
    for (Index i = 0; i < to; ++i) {
      const double center = (static_cast<double>(i) + 0.5) * scale;
      const Index low = std::max<Index>(0, static_cast<Index>(center - support + 0.5));
      const Index high = std::min(from, static_cast<Index>(center + support + 0.5));
      first.push_back(low);
      count.push_back(high - low);
      double* w = weights.data() + i * stride;
      double sum = 0;
      for (Index k = low; k < high; ++k) {
        sum += w[k - low] = filter_value(filter, (static_cast<double>(k) - center + 0.5) / widened);
      }
      for (Index k = low; k < high; ++k) w[k - low] /= sum;
    }
  }
};

// How a pass adds up: bytes with weights in fixed point, rounded after each pass, floats in double.
template <class T>
struct ResizeSum;

template <>
struct ResizeSum<std::uint8_t> {
  using Weight = std::int32_t;
  static constexpr int bits = 22;  // leaves room for a sign and for sums above 255
  static Weight weight(double w) { return static_cast<Weight>(std::round(w * (1 << bits))); }
  static constexpr std::int32_t start = 1 << (bits - 1);
  using Sum = std::int32_t;
  static std::uint8_t finish(Sum sum) { return static_cast<std::uint8_t>(std::clamp(sum >> bits, 0, 255)); }
};

template <>
struct ResizeSum<float> {
  using Weight = double;
  static Weight weight(double w) { return w; }
  static constexpr double start = 0;
  using Sum = double;
  static float finish(Sum sum) { return static_cast<float>(sum); }
};

// x (outer, from, inner) -> y (outer, to, inner): a pass along the middle dimension.
template <class T>
Tensor<T> resize_pass(const Tensor<T>& x, Index outer, Index from, Index to, Index inner, Filter filter) {
  using Rule = ResizeSum<T>;
  const ResizeWeights table(from, to, filter);
  std::vector<typename Rule::Weight> weights;
  for (const double w : table.weights) weights.push_back(Rule::weight(w));
  Tensor<T> y({outer, to, inner});
  const T* source = x.data();
  T* target = y.data();
  parallel_ranges(
      outer * to, std::max<Index>(1, 65536 / (inner * table.stride)), [&](Index begin, Index end) {
        std::vector<typename Rule::Sum> sums(static_cast<std::size_t>(inner));
        for (Index row = begin; row < end; ++row) {
          const Index i = row % to;
          const auto at = static_cast<std::size_t>(i);
          const T* in = source + (row / to * from + table.first[at]) * inner;
          const typename Rule::Weight* w = weights.data() + i * table.stride;
          std::fill(sums.begin(), sums.end(), Rule::start);
          for (Index k = 0; k < table.count[at]; ++k) {
            for (Index c = 0; c < inner; ++c) {
              sums[static_cast<std::size_t>(c)] += static_cast<typename Rule::Sum>(in[k * inner + c]) * w[k];
            }
          }
          for (Index c = 0; c < inner; ++c)
            target[row * inner + c] = Rule::finish(sums[static_cast<std::size_t>(c)]);
        }
      });
  return y;
}

template <class T>
Tensor<T> resize_nearest(const Tensor<T>& x, Index height, Index width, Index channels, const Shape& shape) {
  const auto source = [](Index i, Index from, Index to) {
    const double at = (static_cast<double>(i) + 0.5) * (static_cast<double>(from) / static_cast<double>(to));
    return std::min(from - 1, static_cast<Index>(at));
  };
  Tensor<T> y(shape);
  for (Index i = 0; i < height; ++i) {
    const T* row = x.data() + source(i, x.size(0), height) * x.size(1) * channels;
    for (Index j = 0; j < width; ++j) {
      std::copy_n(row + source(j, x.size(1), width) * channels, channels,
                  y.data() + (i * width + j) * channels);
    }
  }
  return y;
}

}  // namespace detail

// x (H,W) or (H,W,C) -> (height,width) or (height,width,C). Each channel by itself, so colours under a
// transparent alpha count like others. ShapeError for another rank or an empty picture, ValueError for a new
// size that is not positive or beyond max_elements.
template <class T>
requires(std::same_as<T, std::uint8_t> || std::same_as<T, float>) Tensor<T> resize(const Tensor<T>& x,
                                                                                   const ResizeOptions& o) {
  require<ShapeError>((x.rank() == 2 || x.rank() == 3) && x.numel() > 0, "resize: shape ", x.shape(),
                      ", expected (H,W) or (H,W,C) with pixels");
  require<ValueError>(o.height > 0 && o.width > 0, "resize: to ", o.width, "×", o.height,
                      " pixels, expected at least 1×1");
  const Index height = x.size(0), width = x.size(1), channels = x.rank() == 3 ? x.size(2) : 1;
  require<ValueError>(
      o.height <= o.max_elements / o.width / channels && height <= o.max_elements / o.width / channels,
      "resize: to ", o.width, "×", o.height, " pixels of ", channels, " channels, more than the limit of ",
      o.max_elements, " elements");
  Shape shape{o.height, o.width};
  if (x.rank() == 3) shape.push_back(channels);
  if (o.filter == Filter::nearest) return detail::resize_nearest(x, o.height, o.width, channels, shape);
  Tensor<T> y = x;
  if (width != o.width) y = detail::resize_pass(y, height, width, o.width, channels, o.filter);
  if (height != o.height) y = detail::resize_pass(y, 1, height, o.height, o.width * channels, o.filter);
  return (y.data() == x.data() ? y.clone() : y).reshape(shape);
}

}  // namespace tenon::image
