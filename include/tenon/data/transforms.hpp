// Changes of one picture on its way into a batch: x (H,W,C) with values 0 … 1, changed in place or replaced.
//
//   auto augment = compose<float>(RandomCrop{.size = 32, .padding = 4}, RandomHorizontalFlip{},
//   Normalize::cifar10());
//
// A transform is any callable (Tensor<T>&, Rng&). All chance comes from the generator it is given, one a
// sample.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "tenon/core/random.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::data {

template <class T>
using Transform = std::function<void(Tensor<T>&, Rng&)>;

// Mean and deviation of the channels R, G, B over the training pictures.
inline constexpr std::array<double, 3> imagenet_mean = {0.485, 0.456, 0.406},
                                       imagenet_std = {0.229, 0.224, 0.225};
inline constexpr std::array<double, 3> cifar10_mean = {0.4914, 0.4822, 0.4465},
                                       cifar10_std = {0.2470, 0.2435, 0.2616};

// Bytes 0 … 255 -> 0 … 1, any shape.
template <Floating T>
Tensor<T> to_float(const Tensor<std::uint8_t>& x) {
  Tensor<T> y(x.shape());
  const std::uint8_t* from = x.data();
  T* to = y.data();
  for (Index i = 0; i < x.numel(); ++i) to[i] = static_cast<T>(static_cast<float>(from[i]) * (1.0f / 255.0f));
  return y;
}

// (x - mean) / std in each channel.
struct Normalize {
  std::vector<double> mean, std;

  static Normalize imagenet() {
    return {{imagenet_mean.begin(), imagenet_mean.end()}, {imagenet_std.begin(), imagenet_std.end()}};
  }
  static Normalize cifar10() {
    return {{cifar10_mean.begin(), cifar10_mean.end()}, {cifar10_std.begin(), cifar10_std.end()}};
  }

  // Also takes a batch (N,H,W,C).
  template <Floating T>
  void operator()(Tensor<T>& x) const {
    const auto channels = static_cast<std::size_t>(x.rank() > 0 ? x.size(-1) : 0);
    require<ShapeError>(channels == mean.size() && channels == std.size() && channels <= 8,
                        "Normalize: shape ", x.shape(), " with ", mean.size(), " means and ", std.size(),
                        " deviations");
    using W = Wide<T>;
    std::array<W, 8> scale{}, shift{};
    for (std::size_t c = 0; c < channels; ++c) {
      require<ValueError>(std[c] > 0, "Normalize: deviation ", c, " is ", std[c], ", expected above 0");
      scale[c] = static_cast<W>(1 / std[c]);
      shift[c] = static_cast<W>(-mean[c] / std[c]);
    }
    T* at = x.data();
    T* const end = at + x.numel();
    if (channels == 3) {  // the common case, with a trip count the compiler knows
      for (; at != end; at += 3) {
        for (std::size_t c = 0; c < 3; ++c)
          at[c] = static_cast<T>(static_cast<W>(at[c]) * scale[c] + shift[c]);
      }
      return;
    }
    while (at != end) {
      for (std::size_t c = 0; c < channels; ++c, ++at) {
        *at = static_cast<T>(static_cast<W>(*at) * scale[c] + shift[c]);
      }
    }
  }
  template <Floating T>
  void operator()(Tensor<T>& x, Rng&) const {
    (*this)(x);
  }
};

// Left and right exchanged with probability p.
struct RandomHorizontalFlip {
  double p = 0.5;

  template <Scalar T>
  void operator()(Tensor<T>& x, Rng& rng) const {
    require<ShapeError>(x.rank() == 3, "RandomHorizontalFlip: shape ", x.shape(), ", expected (H,W,C)");
    if (!rng.bernoulli(p)) return;
    const Index width = x.size(1), channels = x.size(2);
    for (Index row = 0; row < x.size(0); ++row) {
      T* left = x.data() + row * width * channels;
      T* right = left + (width - 1) * channels;
      for (; left < right; left += channels, right -= channels)
        std::swap_ranges(left, left + channels, right);
    }
  }
};

enum class PadMode { zero, reflect };  // reflect: without repeating the edge, as in PyTorch

// A window of size × size at a random place of the picture, widened by `padding` on every side.
struct RandomCrop {
  Index size = 32;
  Index padding = 0;
  PadMode mode = PadMode::zero;

  template <Scalar T>
  void operator()(Tensor<T>& x, Rng& rng) const {
    require<ShapeError>(x.rank() == 3, "RandomCrop: shape ", x.shape(), ", expected (H,W,C)");
    const Index height = x.size(0), width = x.size(1), channels = x.size(2);
    require<ShapeError>(
        size >= 1 && padding >= 0 && size <= height + 2 * padding && size <= width + 2 * padding,
        "RandomCrop: size ", size, " with padding ", padding, " of shape ", x.shape());
    require<ShapeError>(mode == PadMode::zero || (padding < height && padding < width),
                        "RandomCrop: reflecting ", padding, " pixels of shape ", x.shape());
    const Index top = rng.below(height + 2 * padding - size + 1) - padding;
    const Index left = rng.below(width + 2 * padding - size + 1) - padding;
    if (top == 0 && left == 0 && size == height && size == width) return;

    // Columns first … last-1 of the result lie inside the picture, and are copied in one run.
    const Index first = std::clamp<Index>(-left, 0, size),
                last = std::clamp<Index>(width - left, first, size);
    Tensor<T> y({size, size, channels});
    for (Index row = 0; row < size; ++row) {
      T* to = y.data() + row * size * channels;
      const Index source = mode == PadMode::reflect ? reflect(row + top, height) : row + top;
      if (source < 0 || source >= height) {
        std::fill_n(to, size * channels, T(0));
        continue;
      }
      const T* from = x.data() + source * width * channels;
      for (Index column = 0; column < first; ++column) fill_outside(from, to, column, left, width, channels);
      for (Index column = last; column < size; ++column)
        fill_outside(from, to, column, left, width, channels);
      if (first < last) {
        std::copy(from + (first + left) * channels, from + (last + left) * channels, to + first * channels);
      }
    }
    x = y;
  }

 private:
  static Index reflect(Index i, Index extent) { return i < 0 ? -i : i >= extent ? 2 * (extent - 1) - i : i; }

  // Column `column` of the result, which lies outside the picture.
  template <class T>
  void fill_outside(const T* row, T* to, Index column, Index left, Index width, Index channels) const {
    if (mode == PadMode::zero) {
      std::fill_n(to + column * channels, channels, T(0));
    } else {
      std::copy_n(row + reflect(column + left, width) * channels, channels, to + column * channels);
    }
  }
};

// The transforms one after the other, as one. None gives an empty Transform, which loaders skip.
template <class T, class... Steps>
Transform<T> compose(Steps... steps) {
  if constexpr (sizeof...(Steps) == 0) {
    return {};
  } else {
    return [... step = std::move(steps)](Tensor<T>& x, Rng& rng) { (step(x, rng), ...); };
  }
}

}  // namespace tenon::data
