// Separable Gaussian smoothing of float pictures.
//
// A row of the result is made in one go: the vertical taps over the rows around it go into a row buffer that
// stays in the first-level cache, the horizontal taps run over that buffer. No second picture is written or
// read. Outside, a picture continues as its mirror image with the edge pixel repeated (d c b a | a b c d).
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/core/threads.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

struct GaussianOptions {
  double sigma = 1;     // deviation in pixels; 0 copies
  double truncate = 4;  // the kernel ends after this many deviations
};

// The centre and the right half of a normalised kernel: taps 0 … radius, radius = ceil(truncate·sigma).
inline std::vector<float> gaussian_taps(double sigma, double truncate = 4) {
  require<ValueError>(sigma >= 0 && sigma <= 1e4, "gaussian_taps: sigma is ", sigma, ", expected 0 to 10000");
  require<ValueError>(truncate > 0 && truncate <= 100, "gaussian_taps: truncate is ", truncate,
                      ", expected more than 0, at most 100");
  const auto radius = static_cast<std::size_t>(std::ceil(truncate * sigma));
  std::vector<double> weights(radius + 1, 1.0);
  double sum = 1;
  for (std::size_t i = 1; i <= radius; ++i) {
    const double t = static_cast<double>(i) / sigma;
    weights[i] = std::exp(-0.5 * t * t);
    sum += 2 * weights[i];
  }
  std::vector<float> taps;
  for (const double w : weights) taps.push_back(static_cast<float>(w / sum));
  return taps;
}

namespace detail {

// Position i of a mirrored row of n elements, for any i.
inline Index mirrored(Index i, Index n) {
  if (i >= 0 && i < n) return i;
  const Index period = 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - 1 - i;
}

// out[x] = taps[0]·a(0)[x] + Σ taps[k]·(a(-k)[x] + a(k)[x]) for x = 0 … n-1; a(k) points to the k-th
// neighbour.
template <class Neighbour>
inline void symmetric_taps(std::span<const float> taps, Index n, float* __restrict out, const Neighbour& a) {
  typedef float Lanes __attribute__((vector_size(64), aligned(4)));
  constexpr Index lanes = 16, block = 4 * lanes;
  const auto radius = static_cast<Index>(taps.size()) - 1;
  Index x = 0;
  for (; x + block <= n; x += block) {
    const Lanes* const centre = reinterpret_cast<const Lanes*>(a(0) + x);
    Lanes s0 = taps[0] * centre[0], s1 = taps[0] * centre[1], s2 = taps[0] * centre[2],
          s3 = taps[0] * centre[3];
    for (Index k = 1; k <= radius; ++k) {
      const float tap = taps[static_cast<std::size_t>(k)];
      const Lanes* const before = reinterpret_cast<const Lanes*>(a(-k) + x);
      const Lanes* const after = reinterpret_cast<const Lanes*>(a(k) + x);
      s0 += tap * (before[0] + after[0]);
      s1 += tap * (before[1] + after[1]);
      s2 += tap * (before[2] + after[2]);
      s3 += tap * (before[3] + after[3]);
    }
    Lanes* const to = reinterpret_cast<Lanes*>(out + x);
    to[0] = s0;
    to[1] = s1;
    to[2] = s2;
    to[3] = s3;
  }
  while (x < n && n >= lanes) {  // the last group overlaps the one before
    x = std::min(x, n - lanes);
    Lanes s = taps[0] * *reinterpret_cast<const Lanes*>(a(0) + x);
    for (Index k = 1; k <= radius; ++k) {
      const Lanes* const before = reinterpret_cast<const Lanes*>(a(-k) + x);
      const Lanes* const after = reinterpret_cast<const Lanes*>(a(k) + x);
      s += taps[static_cast<std::size_t>(k)] * (*before + *after);
    }
    *reinterpret_cast<Lanes*>(out + x) = s;
    x += lanes;
  }
  for (; x < n; ++x) {  // a row of fewer than 16 elements
    float s = taps[0] * a(0)[x];
    for (Index k = 1; k <= radius; ++k) s += taps[static_cast<std::size_t>(k)] * (a(-k)[x] + a(k)[x]);
    out[x] = s;
  }
}

// Pictures in memory: `height` rows of `width` pixels of `channels` interleaved values, rows `stride` apart.
struct Extent {
  Index height = 0, width = 0, channels = 1;
};

// y = the picture x smoothed by taps in both directions; x and y must not overlap. What lies between the end
// of a row of y and the next one is set to 0.
inline void blur(const float* x, Index x_stride, float* y, Index y_stride, Extent e,
                 std::span<const float> taps) {
  const auto radius = static_cast<Index>(taps.size()) - 1;
  const Index n = e.width * e.channels, margin = radius * e.channels;
  const Index grain = std::max<Index>(8, (Index{1} << 15) / std::max<Index>(n, 1));
  parallel_ranges(e.height, grain, [&](Index begin, Index end) {
    cpu::Scratch<float> buffer(n + 2 * margin);
    float* const row = buffer.data() + margin;
    std::vector<const float*> around(taps.size() * 2 - 1);
    const float** const middle = around.data() + radius;
    for (Index i = begin; i < end; ++i) {
      for (Index k = -radius; k <= radius; ++k) middle[k] = x + mirrored(i + k, e.height) * x_stride;
      symmetric_taps(taps, n, row, [&](Index k) { return middle[k]; });
      for (Index k = 1; k <= radius; ++k) {
        const Index left = mirrored(-k, e.width), right = mirrored(e.width - 1 + k, e.width);
        for (Index c = 0; c < e.channels; ++c) {
          row[-k * e.channels + c] = row[left * e.channels + c];
          row[(e.width - 1 + k) * e.channels + c] = row[right * e.channels + c];
        }
      }
      float* const out = y + i * y_stride;
      symmetric_taps(taps, n, out, [&](Index k) { return row + k * e.channels; });
      std::fill(out + n, out + y_stride, 0.0f);
    }
  });
}

}  // namespace detail

// x (H,W) or (H,W,C) -> the same shape, every channel smoothed by a Gaussian.
inline Tensor<float> gaussian_blur(const Tensor<float>& x, GaussianOptions options = {}) {
  require<ShapeError>((x.rank() == 2 || x.rank() == 3) && x.numel() > 0, "gaussian_blur: a picture of shape ",
                      x.shape(), ", expected (H,W) or (H,W,C), not empty");
  const auto taps = gaussian_taps(options.sigma, options.truncate);
  const Index stride = x.numel() / x.size(0);
  Tensor<float> y(x.shape());
  detail::blur(x.data(), stride, y.data(), stride, {x.size(0), x.size(1), stride / x.size(1)}, taps);
  return y;
}

}  // namespace tenon::image
