// Pictures made up on the spot, for runs without a data set: ten classes of shapes and textures in random
// colours, places, sizes and turns, over a shaded background and under noise. Colour says nothing about the
// class and no pixel does on its own, so a linear model stays far behind a small convolutional network.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>

#include "tenon/core/random.hpp"
#include "tenon/core/threads.hpp"
#include "tenon/data/dataset.hpp"

namespace tenon::data {

inline constexpr std::array<const char*, 10> synthetic_classes = {
    "disk", "ring", "square", "frame", "triangle", "cross", "star", "stripes", "checks", "dots"};

struct SyntheticOptions {
  Index count = 2000;
  Index size = 32;     // side in pixels
  Index classes = 10;  // the first so many of synthetic_classes
  std::uint64_t seed = 0;
  double noise = 0.06;  // deviation of the noise, in units of the full range
};

namespace detail {

// How far (u,v) lies inside shape `kind`, negative outside; u and v are 0 in its middle and about ±1 at its
// edge.
inline double inside_shape(int kind, double u, double v) {
  const double r = std::hypot(u, v), box = std::max(std::abs(u), std::abs(v));
  const double angle = std::atan2(v, u), turn = 2 * std::numbers::pi;
  // A regular polygon's edge at this angle, for n corners.
  const auto corners = [&](int n) {
    const double sector = turn / n;
    return std::cos(sector / 2) / std::cos(std::remainder(angle, sector));
  };
  const auto wave = [](double x) { return 0.25 * std::sin(x); };
  switch (kind) {
    case 0:
      return 1 - r;
    case 1:
      return 0.3 - std::abs(r - 0.75);
    case 2:
      return 0.85 - box;
    case 3:
      return 0.25 - std::abs(box - 0.68);
    case 4:
      return 1.15 * corners(3) - r;
    case 5:
      return std::max(0.3 - std::abs(u), 0.3 - std::abs(v)) - std::max(0.0, box - 1);
    case 6:
      return 0.7 + 0.4 * std::cos(5 * angle) - r;
    case 7:
      return std::min(wave(8 * u), 1 - box);
    case 8:
      return std::min(4 * wave(6 * u) * wave(6 * v), 1 - box);
    default:
      return std::min(wave(7 * u) + wave(7 * v) - 0.12, 1.1 - box);
  }
}

using Rgb = std::array<double, 3>;

// A dark colour and a clearly brighter one.
inline std::array<Rgb, 2> two_colours(Rng& rng) {
  std::array<Rgb, 2> pair;
  const auto brightness = [](const Rgb& c) { return 0.3 * c[0] + 0.6 * c[1] + 0.1 * c[2]; };
  do {
    for (Rgb& colour : pair) {
      for (double& channel : colour) channel = rng.uniform(0.05, 0.95);
    }
  } while (brightness(pair[1]) - brightness(pair[0]) < 0.25);
  return pair;
}

// One picture of class `kind` -> size·size·3 bytes.
inline void draw_synthetic(int kind, Index size, double noise, Rng rng, std::uint8_t* pixels) {
  const auto side = static_cast<double>(size);
  const auto [back, front] = two_colours(rng);
  const double radius = side * rng.uniform(0.30, 0.42);
  const double room = side / 2 - radius;  // how far the middle may be off
  const double cx = side / 2 + rng.uniform(-room, room), cy = side / 2 + rng.uniform(-room, room);
  const double turn = rng.uniform(-0.35, 0.35), squeeze = rng.uniform(0.85, 1.15);
  const double cosine = std::cos(turn), sine = std::sin(turn);
  const double shade_x = rng.uniform(-0.2, 0.2), shade_y = rng.uniform(-0.2, 0.2);
  // Two small blots that belong to no class.
  std::array<std::array<double, 3>, 2> blots{};
  for (auto& blot : blots)
    blot = {rng.uniform(0, side), rng.uniform(0, side), side * rng.uniform(0.04, 0.09)};

  for (Index y = 0; y < size; ++y) {
    for (Index x = 0; x < size; ++x) {
      const double px = static_cast<double>(x) + 0.5, py = static_cast<double>(y) + 0.5;
      const double dx = px - cx, dy = py - cy;
      const double u = (cosine * dx + sine * dy) / (radius * squeeze),
                   v = (cosine * dy - sine * dx) * squeeze / radius;
      double cover = std::clamp(0.5 + inside_shape(kind, u, v) * radius, 0.0, 1.0);  // edge one pixel wide
      for (const auto& blot : blots) {
        cover = std::max(cover, std::clamp(0.5 + blot[2] - std::hypot(px - blot[0], py - blot[1]), 0.0, 1.0));
      }
      const double shade = shade_x * (px / side - 0.5) + shade_y * (py / side - 0.5);
      for (std::size_t c = 0; c < 3; ++c) {
        // The four bytes of a word add up to a bell curve of deviation 147.8 around 510.
        const std::uint32_t word = rng.bits();
        const auto sum =
            static_cast<double>((word & 255u) + (word >> 8 & 255u) + (word >> 16 & 255u) + (word >> 24));
        const double value = back[c] + cover * (front[c] - back[c]) + shade + noise * (sum - 510) / 147.8;
        *pixels++ = static_cast<std::uint8_t>(std::clamp(value, 0.0, 1.0) * 255 + 0.5);
      }
    }
  }
}

}  // namespace detail

// `count` pictures (count,size,size,3), the classes in turn. The same options give the same pictures; two
// seeds give two sets, for training and for validation. ValueError for options out of range.
inline ImageDataset synthetic_shapes(SyntheticOptions options = {}) {
  require<ValueError>(options.count >= 1, "synthetic_shapes: count is ", options.count,
                      ", expected at least 1");
  require<ValueError>(options.size >= 8 && options.size <= 4096, "synthetic_shapes: size is ", options.size,
                      ", expected 8 to 4096");
  require<ValueError>(options.classes >= 1 && options.classes <= static_cast<Index>(synthetic_classes.size()),
                      "synthetic_shapes: classes is ", options.classes, ", expected 1 to 10");
  ImageDataset set;
  set.images = Tensor<std::uint8_t>({options.count, options.size, options.size, 3});
  set.classes.assign(synthetic_classes.begin(), synthetic_classes.begin() + options.classes);
  for (Index i = 0; i < options.count; ++i) {
    set.labels.push_back(static_cast<std::int32_t>(i % options.classes));
    set.names.push_back(text("synthetic#", i));
  }
  const Rng rng(options.seed);
  parallel_ranges(options.count, 16, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      detail::draw_synthetic(set.labels[static_cast<std::size_t>(i)], options.size, options.noise,
                             rng.fork(static_cast<std::uint64_t>(i)),
                             set.images.data() + i * options.size * options.size * 3);
    }
  });
  return set;
}

}  // namespace tenon::data
