// Scenes made up on the spot, for runs without a data set: six classes of textures at random places, sizes
// and brightness. What the whole picture looks like from afar says little about the class; the texture says
// it all.
#pragma once

#include <tenon/core/random.hpp>
#include <tenon/core/threads.hpp>
#include <tenon/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace programs {

inline constexpr std::array<const char*, 6> texture_classes = {"bricks", "checks", "dots",
                                                               "rings",  "waves",  "windows"};

namespace detail {

// The texture `kind` at (u,v), one period a unit: -1 … 1.
inline double texture(int kind, double u, double v) {
  const double turn = 2 * std::numbers::pi;
  const double x = u - std::floor(u), y = v - std::floor(v);
  switch (kind) {
    case 0: {  // rows of bricks, every other one shifted by half
      const double shifted = u + (static_cast<tenon::Index>(std::floor(2 * v)) % 2 == 0 ? 0 : 0.5);
      const double joint =
          std::min(std::abs(shifted - std::round(shifted)), std::abs(2 * v - std::round(2 * v)) / 2);
      return joint < 0.06 ? -1 : 0.6;
    }
    case 1:
      return (x < 0.5) == (y < 0.5) ? 0.8 : -0.8;
    case 2:
      return std::hypot(x - 0.5, y - 0.5) < 0.28 ? 1 : -0.5;
    case 3:
      return std::sin(3 * turn * std::hypot(x - 0.5, y - 0.5));
    case 4:
      return std::sin(turn * (2 * v + 0.25 * std::sin(turn * u)));
    default:
      return x > 0.25 && x < 0.75 && y > 0.15 && y < 0.85 ? -0.9 : 0.5;
  }
}

// Gray (H,W,1).
inline tenon::Tensor<std::uint8_t> draw_scene(int kind, tenon::Rng rng) {
  using tenon::Index;
  const Index height = 120 + rng.below(40), width = 150 + rng.below(50);
  const double period = rng.uniform(22, 34), turn = rng.uniform(-0.15, 0.15);
  const double left = rng.uniform(), top = rng.uniform(), middle = rng.uniform(90, 165),
               contrast = rng.uniform(35, 75);
  const double shade_x = rng.uniform(-60, 60), shade_y = rng.uniform(-60, 60);
  const double cosine = std::cos(turn) / period, sine = std::sin(turn) / period;
  tenon::Tensor<std::uint8_t> picture({height, width, 1});
  for (Index i = 0; i < height; ++i) {
    for (Index j = 0; j < width; ++j) {
      const auto x = static_cast<double>(j), y = static_cast<double>(i);
      const double shade = shade_x * (x / static_cast<double>(width) - 0.5) +
                           shade_y * (y / static_cast<double>(height) - 0.5);
      const double value =
          middle + shade +
          contrast * texture(kind, left + cosine * x + sine * y, top + cosine * y - sine * x) +
          rng.uniform(-18, 18);
      picture.data()[i * width + j] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
    }
  }
  return picture;
}

}  // namespace detail

// `per_class` pictures of each class, class by class. Two seeds give two sets.
inline std::vector<tenon::Tensor<std::uint8_t>> synthetic_scenes(tenon::Index per_class, std::uint64_t seed) {
  const auto count = static_cast<tenon::Index>(texture_classes.size()) * per_class;
  std::vector<tenon::Tensor<std::uint8_t>> pictures(static_cast<std::size_t>(count));
  const tenon::Rng rng(seed);
  tenon::parallel_for(count, [&](tenon::Index i) {
    pictures[static_cast<std::size_t>(i)] =
        detail::draw_scene(static_cast<int>(i / per_class), rng.fork(static_cast<std::uint64_t>(i)));
  });
  return pictures;
}

}  // namespace programs
