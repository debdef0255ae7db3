// SIFT descriptors on a regular grid, upright and of one scale.
//
// The work is shared: every pixel puts its gradient into one of eight direction maps once; each cell of every
// descriptor is a sum over those maps under a triangle (which is what bilinear sharing between cells amounts
// to), first down the columns, for the rows where cells lie, then along these rows. Overlapping descriptors
// share cells.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "tenon/core/threads.hpp"
#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/descriptor.hpp"
#include "tenon/image/gaussian.hpp"
#include "tenon/image/gradient.hpp"

namespace tenon {

struct DenseSiftOptions {
  Index step = 8;       // pixels from one descriptor to the next
  Index bin_size = 4;   // side of one of the 4×4 cells, in pixels
  double blur = -1;     // Gaussian smoothing first, in pixels; below 0: to a blur of bin_size / 6 in all
  double window = 2;    // deviation of the Gaussian over the cells, in cells; 0: all cells weigh the same
  double clamp = 0.2;   // as in SiftOptions
  bool root = true;     // as in SiftOptions
  double contrast = 0;  // a descriptor with a smaller response is set to 0
};

namespace detail {

// Where `count` descriptors begin along an axis, and the places of all their cells without repetition.
struct DenseAxis {
  std::vector<Index> first;      // centre of the first cell of each descriptor
  std::vector<Index> positions;  // increasing
  std::vector<Index> slot;       // of each place on the axis: its number in `positions`

  DenseAxis(Index length, const DenseSiftOptions& o) : slot(static_cast<std::size_t>(length), -1) {
    const Index room = length - 1 - 3 * o.bin_size;
    if (room < 0) return;
    const Index count = room / o.step + 1, margin = (room - (count - 1) * o.step) / 2;
    for (Index i = 0; i < count; ++i) {
      first.push_back(margin + i * o.step);
      for (Index cell = 0; cell < 4; ++cell)
        slot[static_cast<std::size_t>(first.back() + cell * o.bin_size)] = 0;
    }
    for (Index i = 0; i < length; ++i) {
      if (slot[static_cast<std::size_t>(i)] < 0) continue;
      slot[static_cast<std::size_t>(i)] = static_cast<Index>(positions.size());
      positions.push_back(i);
    }
  }

  Index slot_of(Index descriptor, Index cell, Index bin_size) const {
    return slot[static_cast<std::size_t>(first[static_cast<std::size_t>(descriptor)] + cell * bin_size)];
  }
};

// picture (H,W) -> (H,W,8): the gradient magnitude of a pixel, shared by the two nearest of eight directions.
inline Tensor<float> direction_maps(const Tensor<float>& picture) {
  typedef float Lanes __attribute__((vector_size(32), aligned(4)));
  typedef std::int32_t Bits __attribute__((vector_size(32), aligned(4)));
  constexpr Lanes direction = {0, 1, 2, 3, 4, 5, 6, 7};
  const image::PolarGradient g = image::polar_gradient(picture);
  Tensor<float> maps({picture.size(0), picture.size(1), 8});
  parallel_ranges(picture.numel(), 1 << 13, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      Lanes d = direction - g.angle.data()[i] * (4 / std::numbers::pi_v<float>);
      d = reinterpret_cast<Lanes>(reinterpret_cast<Bits>(d) & 0x7FFFFFFF);
      const Lanes around = 8.0f - d;
      d = 1.0f - (d < around ? d : around);
      *reinterpret_cast<Lanes*>(maps.data() + 8 * i) = g.magnitude.data()[i] * (d > 0.0f ? d : Lanes{});
    }
  });
  return maps;
}

// maps (H,W,8) -> (rows,columns,8): sums under a triangle of half-width bin_size around every place.
inline Tensor<float> pool_cells(const Tensor<float>& maps, const DenseAxis& rows, const DenseAxis& columns,
                                Index bin_size) {
  const Index height = maps.size(0), width = maps.size(1);
  const auto wide = static_cast<Index>(columns.positions.size());
  Tensor<float> cells({static_cast<Index>(rows.positions.size()), wide, 8});
  const auto weight = [&](Index d) {
    return 1 - static_cast<float>(d < 0 ? -d : d) / static_cast<float>(bin_size);
  };
  parallel_ranges(cells.size(0), 4, [&](Index begin, Index end) {
    std::vector<float> sums(static_cast<std::size_t>(8 * width));
    for (Index r = begin; r < end; ++r) {
      const Index y = rows.positions[static_cast<std::size_t>(r)];
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (Index i = std::max<Index>(0, y - bin_size + 1); i < std::min(height, y + bin_size); ++i) {
        const float w = weight(i - y);
        const float* __restrict from = maps.data() + 8 * i * width;
        float* __restrict to = sums.data();
        for (Index k = 0; k < 8 * width; ++k) to[k] += w * from[k];
      }
      for (Index c = 0; c < wide; ++c) {
        const Index x = columns.positions[static_cast<std::size_t>(c)];
        float total[8] = {};
        for (Index j = std::max<Index>(0, x - bin_size + 1); j < std::min(width, x + bin_size); ++j) {
          const float w = weight(j - x);
          for (Index k = 0; k < 8; ++k) total[k] += w * sums[static_cast<std::size_t>(8 * j + k)];
        }
        std::copy_n(total, 8, cells.data() + 8 * (r * wide + c));
      }
    }
  });
  return cells;
}

}  // namespace detail

// gray (H,W), values 0…1 -> descriptors row by row on a grid that is centred in the picture; components as in
// sift/descriptor.hpp with angle 0. Key points: the centre; sigma = bin_size / 3, the scale at which SIFT's
// cells have that size; response = norm of the gradients under the window, a pixel. A picture with a side of
// 3·bin_size or less has none. ShapeError for another shape; ValueError for options out of range and values
// that are not numbers.
inline Features dense_sift(const Tensor<float>& gray, const DenseSiftOptions& options = {}) {
  const Index bin = options.bin_size;
  require<ValueError>(options.step >= 1 && bin >= 1 && bin <= 4096, "dense_sift: step is ", options.step,
                      " and bin_size is ", bin,
                      ", expected a step of at least 1 and cells of 1 to 4096 pixels");
  require<ValueError>(
      options.window >= 0 && options.blur <= 100 && options.clamp >= 0.01 && options.clamp <= 1,
      "dense_sift: window is ", options.window, ", blur ", options.blur, ", clamp ", options.clamp,
      "; expected at least 0, at most 100, 0.01 to 1");
  const bool plain = gray.rank() == 2 || (gray.rank() == 3 && gray.size(2) == 1);
  require<ShapeError>(plain && gray.numel() > 0, "dense_sift: a picture of shape ", gray.shape(),
                      ", expected gray values of shape (H,W), not empty; image::to_gray converts");
  Tensor<float> picture = gray.reshape({gray.size(0), gray.size(1)});
  detail::check_values(picture);

  // Half the blur that SIFT looks through at cells of this size: a grid has no scale to be invariant to, and
  // detail helps. Half a pixel of it is there already.
  const double wanted = static_cast<double>(bin) / 6;
  const double blur = options.blur >= 0 ? options.blur : std::sqrt(std::max(wanted * wanted - 0.25, 0.0));
  if (blur > 0) picture = image::gaussian_blur(picture, {.sigma = blur});

  const detail::DenseAxis rows(picture.size(0), options), columns(picture.size(1), options);
  const auto down = static_cast<Index>(rows.first.size()), across = static_cast<Index>(columns.first.size());
  Features found{.keypoints = std::vector<Keypoint>(static_cast<std::size_t>(down * across)),
                 .descriptors = Tensor<float>({down * across, sift_length})};
  if (down * across == 0) return found;
  const Tensor<float> cells = detail::pool_cells(detail::direction_maps(picture), rows, columns, bin);

  float window[16];
  for (Index cell = 0; cell < 16; ++cell) {
    const double y = static_cast<double>(cell / 4) - 1.5, x = static_cast<double>(cell % 4) - 1.5;
    const double spread = 2 * options.window * options.window;
    window[cell] = spread > 0 ? static_cast<float>(std::exp(-(x * x + y * y) / spread)) : 1.0f;
  }
  const auto wide = static_cast<Index>(columns.positions.size());
  const double middle = 1.5 * static_cast<double>(bin), area = static_cast<double>(bin * bin);
  parallel_ranges(down, 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      for (Index j = 0; j < across; ++j) {
        float* const d = found.descriptors.data() + (i * across + j) * sift_length;
        double energy = 0;
        for (Index cell = 0; cell < 16; ++cell) {
          const Index r = rows.slot_of(i, cell / 4, bin), c = columns.slot_of(j, cell % 4, bin);
          const float* const from = cells.data() + 8 * (r * wide + c);
          for (Index k = 0; k < 8; ++k) {
            d[8 * cell + k] = window[cell] * from[k];
            energy += static_cast<double>(d[8 * cell + k]) * static_cast<double>(d[8 * cell + k]);
          }
        }
        const double response = std::sqrt(energy) / area;
        if (response < options.contrast) std::fill_n(d, sift_length, 0.0f);
        detail::normalise_descriptor(d, options.clamp, options.root);
        Keypoint& k = found.keypoints[static_cast<std::size_t>(i * across + j)];
        k.x = static_cast<float>(static_cast<double>(columns.first[static_cast<std::size_t>(j)]) + middle);
        k.y = static_cast<float>(static_cast<double>(rows.first[static_cast<std::size_t>(i)]) + middle);
        k.sigma = static_cast<float>(static_cast<double>(bin) / 3);
        k.response = static_cast<float>(response);
      }
    }
  });
  return found;
}

}  // namespace tenon
