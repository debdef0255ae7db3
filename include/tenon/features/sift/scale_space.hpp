// SIFT, step 1: the Gaussian scale space (Lowe 2004, section 3; Otero & Rey-Otero 2014, section 2).
//
// An octave holds scales + 3 levels; level s has blur sigma·2^(s/scales) in pixels of the octave. Level
// `scales`, every second pixel of it, starts the next octave. Pixel (x,y) of octave o lies at (x,y)·2^o in
// the picture: the doubled picture puts its pixel 2i where pixel i was, and nothing shifts by a quarter of a
// pixel.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tenon/core/threads.hpp"
#include "tenon/features/sift/options.hpp"
#include "tenon/image/gaussian.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

struct Octave {
  int index = 0;    // o
  double step = 1;  // 2^o: pixels of the picture from one pixel of the octave to the next
  Index height = 0, width = 0;
  Tensor<float> data;  // (levels,height,stride); columns from `width` on are 0, at least 16 of them

  Index stride() const { return data.size(2); }
  int levels() const { return static_cast<int>(data.size(0)); }
  const float* level(int s) const { return data.data() + s * height * stride(); }
  float* level(int s) { return data.data() + s * height * stride(); }
};

struct ScaleSpace {
  std::vector<Octave> octaves;
  int scales = 3;
  double sigma = 1.6;

  // Where a key point of this blur (in pixels of the picture) is looked at: the nearest of levels 1 … scales,
  // or of all levels at both ends of the scale space.
  struct Place {
    const Octave* octave;
    int level;
  };
  Place nearest(double blur) const {
    const double first = octaves.front().step;
    const double above = scales * std::log2(blur / (sigma * first));  // in levels of the first octave
    const double bounded = std::clamp(above, -1e6, 1e6);
    const auto rounded = static_cast<long>(std::lround(bounded));
    const long last = static_cast<long>(octaves.size()) - 1;
    const long o = rounded < 1 ? 0 : std::min(last, (rounded - 1) / scales);
    const long s = std::clamp(rounded - o * scales, 0L, long{scales} + 2);
    return {&octaves[static_cast<std::size_t>(o)], static_cast<int>(s)};
  }
};

namespace detail {

inline Index row_stride(Index width) {
  const Index stride = (width + 31) / 16 * 16;       // whole vectors, and one more
  return stride % 1024 == 0 ? stride + 16 : stride;  // rows 4 KB apart would compete for the same cache lines
}

inline Octave make_octave(int index, Index height, Index width, int levels) {
  Octave o{.index = index, .step = std::ldexp(1.0, index), .height = height, .width = width, .data = {}};
  o.data = Tensor<float>({levels, height, row_stride(width)});
  return o;
}

// Every value finite and of a sensible size; the first that is not is named.
inline void check_values(const Tensor<float>& gray) {
  constexpr float limit = 1e6f;
  const Index width = gray.size(1);
  for (Index i = 0; i < gray.size(0); ++i) {
    const float* row = gray.data() + i * width;
    int bad = 0;
    for (Index j = 0; j < width; ++j) bad |= !(row[j] <= limit) | !(row[j] >= -limit);
    for (Index j = 0; bad != 0 && j < width; ++j) {
      if (row[j] >= -limit && row[j] <= limit) continue;
      fail<ValueError>("sift: the value in row ", i, ", column ", j, " is ", row[j], ", expected 0 to 1");
    }
  }
}

// x (h,w) -> y (2h,2w): pixel i goes to 2i, the pixels between are means; the last row and column repeat.
inline void double_size(const float* x, Index h, Index w, Index x_stride, float* y, Index y_stride) {
  parallel_ranges(h, 16, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const float *a = x + i * x_stride, *b = x + std::min(i + 1, h - 1) * x_stride;
      float *even = y + 2 * i * y_stride, *odd = even + y_stride;
      for (Index j = 0; j + 1 < w; ++j) {
        const float middle = 0.5f * (a[j] + b[j]);
        even[2 * j] = a[j];
        even[2 * j + 1] = 0.5f * (a[j] + a[j + 1]);
        odd[2 * j] = middle;
        odd[2 * j + 1] = 0.5f * (middle + 0.5f * (a[j + 1] + b[j + 1]));
      }
      even[2 * w - 2] = even[2 * w - 1] = a[w - 1];
      odd[2 * w - 2] = odd[2 * w - 1] = 0.5f * (a[w - 1] + b[w - 1]);
    }
  });
}

// y[i][j] = x[i·step][j·step].
inline void subsample(const float* x, Index x_stride, Index step, float* y, Index h, Index w,
                      Index y_stride) {
  parallel_ranges(h, 32, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const float* from = x + i * step * x_stride;
      float* to = y + i * y_stride;
      for (Index j = 0; j < w; ++j) to[j] = from[j * step];
      std::fill(to + w, to + y_stride, 0.0f);
    }
  });
}

// Level 0 of the first octave, from the picture.
inline void first_level(const Tensor<float>& gray, const SiftOptions& o, Octave& first) {
  const Index h = gray.size(0), w = gray.size(1);
  const auto added = [](double wanted, double present) {
    return image::gaussian_taps(std::sqrt(std::max(wanted * wanted - present * present, 0.0)));
  };
  if (o.first_octave >= 0) {
    const auto taps = added(o.sigma * first.step, o.input_blur);
    if (o.first_octave == 0) {
      return image::detail::blur(gray.data(), w, first.level(0), first.stride(), {h, w, 1}, taps);
    }
    Tensor<float> smooth({h, w});
    image::detail::blur(gray.data(), w, smooth.data(), w, {h, w, 1}, taps);
    const auto step = static_cast<Index>(first.step);
    return subsample(smooth.data(), w, step, first.level(0), first.height, first.width, first.stride());
  }
  const auto taps = added(o.sigma, o.input_blur / first.step);
  float* large = first.level(1);  // not needed before the next level is made
  if (o.first_octave == -1) {
    double_size(gray.data(), h, w, w, large, first.stride());
  } else {
    Tensor<float> twice({2 * h, 2 * w});
    double_size(gray.data(), h, w, w, twice.data(), 2 * w);
    double_size(twice.data(), 2 * h, 2 * w, 2 * w, large, first.stride());
  }
  image::detail::blur(large, first.stride(), first.level(0), first.stride(), {first.height, first.width, 1},
                      taps);
}

}  // namespace detail

// gray (H,W) or (H,W,1), values 0…1. ShapeError for another shape or no pixels; ValueError for values that
// are not numbers or beyond ±1e6, and for pictures that would hold more than 2^28 pixels in the first octave.
inline ScaleSpace build_scale_space(const Tensor<float>& gray, const SiftOptions& options = {}) {
  detail::check(options);
  const bool plain = gray.rank() == 2 || (gray.rank() == 3 && gray.size(2) == 1);
  require<ShapeError>(plain && gray.numel() > 0, "sift: a picture of shape ", gray.shape(),
                      ", expected gray values of shape (H,W), not empty; image::to_gray converts");
  const Tensor<float> picture = gray.reshape({gray.size(0), gray.size(1)});
  detail::check_values(picture);

  const int first = options.first_octave;
  const auto resized = [](Index n, int octave) {
    return octave < 0 ? n << -octave : std::max<Index>(1, (n + (Index{1} << octave) - 1) >> octave);
  };
  Index height = resized(picture.size(0), first), width = resized(picture.size(1), first);
  require<ValueError>(width <= (Index{1} << 28) / height, "sift: a first octave of ", width, "×", height,
                      " pixels, at most 2^28 are supported; a larger first_octave makes it smaller");

  ScaleSpace space{.octaves = {}, .scales = options.scales, .sigma = options.sigma};
  const int levels = options.scales + 3;
  std::vector<std::vector<float>> taps(1);
  for (int s = 1; s < levels; ++s) {
    const double before = options.sigma * std::exp2((s - 1.0) / options.scales);
    taps.push_back(image::gaussian_taps(before * std::sqrt(std::exp2(2.0 / options.scales) - 1)));
  }
  for (int index = first;; ++index) {
    Octave octave = detail::make_octave(index, height, width, levels);
    if (index == first) {
      detail::first_level(picture, options, octave);
    } else {
      const Octave& finer = space.octaves.back();
      detail::subsample(finer.level(options.scales), finer.stride(), 2, octave.level(0), height, width,
                        octave.stride());
    }
    for (int s = 1; s < levels; ++s) {
      image::detail::blur(octave.level(s - 1), octave.stride(), octave.level(s), octave.stride(),
                          {height, width, 1}, taps[static_cast<std::size_t>(s)]);
    }
    space.octaves.push_back(octave);
    height = (height + 1) / 2;
    width = (width + 1) / 2;
    const bool enough = options.octaves > 0 && static_cast<int>(space.octaves.size()) >= options.octaves;
    if (enough || std::min(height, width) < 8) return space;
  }
}

}  // namespace tenon
