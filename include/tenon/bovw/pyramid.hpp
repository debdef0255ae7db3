// The spatial pyramid (Lazebnik, Schmid & Ponce 2006): the picture as a whole, in quarters, in sixteenths …,
// each cell encoded by itself and all set one after the other.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "tenon/tensor/tensor.hpp"

namespace tenon {

// Where something lies in its picture, as a share of the width and of the height: 0 … 1.
struct Place {
  float x = 0, y = 0;
};

// How many cells levels 0 … levels have: 1, 5, 21, …
inline Index pyramid_cells(Index levels) {
  require<ValueError>(levels >= 0 && levels <= 6, "pyramid: ", levels, " levels, expected 0 to 6");
  return ((Index{1} << (2 * (levels + 1))) - 1) / 3;
}

// What a match in a cell of `level` counts (eq. 3 of the paper): half as much on each coarser level.
inline double pyramid_weight(Index level, Index levels) {
  return level == 0 ? std::pow(0.5, static_cast<double>(levels))
                    : std::pow(0.5, static_cast<double>(levels - level + 1));
}

// places (n) -> the rows in each cell, level by level, each level row by row from the top left.
inline std::vector<std::vector<Index>> pyramid_rows(std::span<const Place> places, Index levels) {
  std::vector<std::vector<Index>> cells(static_cast<std::size_t>(pyramid_cells(levels)));
  for (std::size_t i = 0; i < places.size(); ++i) {
    Index first = 0;
    for (Index level = 0; level <= levels; ++level) {
      const Index side = Index{1} << level;
      const auto part = [&](float share) {
        const float at = share > 0 ? std::min(share, 1.0f) * static_cast<float>(side) : 0;  // NaN counts as 0
        return std::min(static_cast<Index>(at), side - 1);
      };
      cells[static_cast<std::size_t>(first + part(places[i].y) * side + part(places[i].x))].push_back(
          static_cast<Index>(i));
      first += side * side;
    }
  }
  return cells;
}

// encode(rows) -> (d) for each cell, times its level's weight -> (cells·d).
template <class Encode>
Tensor<float> encode_pyramid(std::span<const Place> places, Index levels, Encode&& encode) {
  const auto cells = pyramid_rows(places, levels);
  Tensor<float> out;
  Index at = 0, level = 0, end_of_level = 1;
  for (const std::vector<Index>& rows : cells) {
    if (at == end_of_level) end_of_level += Index{1} << (2 * ++level);
    const Tensor<float> code = encode(std::span<const Index>(rows));
    if (!out.defined()) out = Tensor<float>({static_cast<Index>(cells.size()) * code.numel()});
    const auto weight = static_cast<float>(pyramid_weight(level, levels));
    float* to = out.data() + at++ * code.numel();
    for (Index i = 0; i < code.numel(); ++i) to[i] = weight * code.data()[i];
  }
  return out;
}

}  // namespace tenon
