// The tiles into which Winograd's method cuts a batch of pictures, and the order in which they are multiplied.
//
// A picture's size is seldom a multiple of a tile's: 14 = 4 + 4 + 4 + 2. The last tile of a line then takes fewer
// points, those that its few outputs need. So there are four kinds of tiles, whole and short in each direction; put
// in the right order, those that take part in the product of a position are always neighbours.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "tenon/backend/cpu/isa.hpp"
#include "tenon/backend/cpu/winograd_transform.hpp"

namespace tenon::cpu {

// The tiles of a batch of pictures with outputs (n,oh,ow).
template <class F>
class WinogradTiles {
 public:
  // A grid of tiles in each picture: where it begins, how many there are, and of how many steps (see WinogradTile).
  struct Kind {
    Index y, x, down, across;
    int steps_down, steps_across;

    bool whole() const { return steps_down == F::steps && steps_across == F::steps; }
    bool takes(int position) const {
      return F::takes(steps_down, position / F::points) && F::takes(steps_across, position % F::points);
    }
  };

  // All tiles whole, or, where `divided`, short ones at the ends.
  WinogradTiles(Index n, Index oh, Index ow, bool divided = false) : n_(n), divided_(divided) {
    const Axis down(oh, divided), across(ow, divided);
    kinds_ = {Kind{0, across.end, down.whole, across.rest, F::steps, across.steps},
              Kind{0, 0, down.whole, across.whole, F::steps, F::steps},
              Kind{down.end, 0, down.rest, across.whole, down.steps, F::steps},
              Kind{down.end, across.end, down.rest, across.rest, down.steps, across.steps}};
  }

  // What can be computed apart from the rest: a picture where tiles are divided, else a tile.
  Index units() const { return divided_ ? n_ : n_ * per_picture(); }
  Index tiles_per_unit() const { return divided_ ? per_picture() : 1; }
  Index tiles_per_unit(std::size_t kind) const {
    const Index all = kinds_[kind].down * kinds_[kind].across;
    return divided_ ? all : (all > 0 ? 1 : 0);
  }
  const Kind& kind(std::size_t k) const { return kinds_[k]; }

  // Where a tile has its first output. Stepping to the next one of its kind takes no division.
  struct Place {
    Index picture, y, x;
  };
  Place at(const Kind& kind, Index tile) const {
    return {tile / (kind.across * kind.down), kind.y + tile / kind.across % kind.down * F::outputs,
            kind.x + tile % kind.across * F::outputs};
  }
  void step(const Kind& kind, Place& p) const {
    p.x += F::outputs;
    if (p.x < kind.x + kind.across * F::outputs) return;
    p.x = kind.x;
    p.y += F::outputs;
    if (p.y < kind.y + kind.down * F::outputs) return;
    p.y = kind.y;
    ++p.picture;
  }

 private:
  struct Axis {
    Index whole, rest, end;  // tiles, and where the whole ones end
    int steps;               // of the short one

    Axis(Index extent, bool divided)
        : whole(divided ? extent / F::outputs : (extent + F::outputs - 1) / F::outputs),
          rest(whole * F::outputs < extent ? 1 : 0),
          end(whole * F::outputs),
          steps(rest ? static_cast<int>(((extent - end) * F::steps + F::outputs - 1) / F::outputs) : F::steps) {}
  };

  Index per_picture() const {
    Index sum = 0;
    for (const Kind& k : kinds_) sum += k.down * k.across;
    return sum;
  }

  Index n_;
  bool divided_;
  std::array<Kind, 4> kinds_;
};

// Some units of a batch, in groups of at most `Rows` tiles of one kind: the rows of a register tile, or `few` of them,
// enough to keep the processor busy.
template <class F, int Rows>
class WinogradBlock {
 public:
  static constexpr int positions = F::points * F::points;
  static constexpr int few = few_rows(Rows);
  using Tiles = WinogradTiles<F>;

  WinogradBlock(Tiles&&, Index, Index) = delete;  // which would be gone
  WinogradBlock(const Tiles& tiles, Index begin, Index end) : tiles_(tiles) {
    for (std::size_t k = 0; k < 4; ++k) {
      first_[k] = begin * tiles.tiles_per_unit(k);
      count_[k] = (end - begin) * tiles.tiles_per_unit(k);
      start_[k + 1] = start_[k] + (count_[k] + Rows - 1) / Rows;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      few_[k] = start_[k + 1];
      while (few_[k] > start_[k] && tiles_of(few_[k] - 1).second <= few) --few_[k];
    }
    for (int p = 0; p < positions; ++p) {
      auto& [from, to] = range_[static_cast<std::size_t>(p)];
      for (std::size_t k = 0; k < 4; ++k) {
        if (count_[k] == 0 || !tiles.kind(k).takes(p)) continue;
        if (to == 0) from = start_[k];
        to = start_[k + 1];
      }
    }
  }

  Index groups() const { return start_[4]; }
  // The groups that take part in the product of a position: from, to.
  std::pair<Index, Index> range(Index position) const { return range_[static_cast<std::size_t>(position)]; }
  // How many rows are multiplied, over all positions.
  Index products() const {
    Index sum = 0;
    for (const auto& [from, to] : range_) {
      sum += (to - from) * Rows;
      for (std::size_t k = 0; k < 4; ++k) {
        if (from <= start_[k] && start_[k] < to) sum -= (start_[k + 1] - few_[k]) * (Rows - few);
      }
    }
    return sum;
  }
  const typename Tiles::Kind& kind_of(Index group) const { return tiles_.kind(index_of(group)); }
  // The rows of a group's register tile.
  Index rows_of(Index group) const { return group < few_[index_of(group)] ? Rows : few; }

  // use(place, i) for the tiles of a group, 0 ≤ i < Rows.
  template <class Use>
  [[gnu::always_inline]] void each_tile(Index group, const Use& use) const {
    const std::size_t k = index_of(group);
    const auto& kind = tiles_.kind(k);
    const auto [tile, count] = tiles_of(group);
    auto place = tiles_.at(kind, first_[k] + tile);
    for (Index i = 0; i < count; ++i, tiles_.step(kind, place)) use(place, i);
  }

 private:
  // Of its kind the first tile of a group, and how many it has. If the last two have enough with few each, they have.
  std::pair<Index, Index> tiles_of(Index group) const {
    const std::size_t k = index_of(group);
    const Index before = group - start_[k], all = count_[k], left = start_[k + 1] - group;
    const bool halves = all > Rows && (all - 1) % Rows + 1 + Rows <= 2 * few;
    const Index tile = before * Rows - (halves && left == 1 ? Rows - few : 0);
    return {tile, std::min<Index>(halves && left == 2 ? few : Rows, all - tile)};
  }

  std::size_t index_of(Index group) const {
    return static_cast<std::size_t>((group >= start_[1]) + (group >= start_[2]) + (group >= start_[3]));
  }

  const Tiles& tiles_;
  std::array<Index, 4> first_, count_;  // tiles
  std::array<Index, 5> start_{};        // groups
  std::array<Index, 4> few_;            // the first group with few rows
  std::array<std::pair<Index, Index>, positions> range_{};
};

// Units of a block of at most `most` tiles; or twice as many, if that fills the groups of divided pictures so much
// better that a tenth of the products are saved: two pictures of 14×14 have six short tiles a side, where eight are
// multiplied.
template <class F, int Rows>
Index winograd_units(const WinogradTiles<F>& tiles, Index most) {
  const Index units = most / tiles.tiles_per_unit();
  const auto products = [&](Index some) { return WinogradBlock<F, Rows>(tiles, 0, some).products(); };
  const bool twice =
      tiles.tiles_per_unit() > 1 && 2 * units <= tiles.units() && 10 * products(2 * units) <= 9 * 2 * products(units);
  return twice ? 2 * units : units;
}

// How many rows are multiplied in all, in groups of at most `Rows` tiles and blocks of about `most`.
template <class F, int Rows>
Index winograd_products(const WinogradTiles<F>& tiles, Index most) {
  const Index some = winograd_units<F, Rows>(tiles, most), whole = tiles.units() / some;
  const auto products = [&](Index units) { return WinogradBlock<F, Rows>(tiles, 0, units).products(); };
  return (whole > 0 ? whole * products(some) : 0) + products(tiles.units() - whole * some);
}

// The tiles of (n,oh,ow) in the way that takes fewer products.
template <class F, int Rows>
WinogradTiles<F> winograd_tiles(Index n, Index oh, Index ow, Index most) {
  const WinogradTiles<F> whole(n, oh, ow), divided(n, oh, ow, true);
  if (!F::divisible || divided.tiles_per_unit() == 0 || divided.tiles_per_unit() > most) return whole;
  return winograd_products<F, Rows>(divided, most) < winograd_products<F, Rows>(whole, most) ? divided : whole;
}

// use(true or false as a type): whether tiles of a kind are whole. Their loops are compiled apart.
template <class F, class Use>
[[gnu::always_inline]] inline void if_whole(const typename WinogradTiles<F>::Kind& kind, const Use& use) {
  if constexpr (F::divisible) {
    if (!kind.whole()) return use(std::false_type{});
  }
  use(std::true_type{});
}

// use(integral constant) with the number of steps of a tile.
template <class F, class Use>
[[gnu::always_inline]] inline void with_steps(int steps, const Use& use) {
  static_assert(F::steps == 4);
  switch (steps) {
    case 1:
      return use(std::integral_constant<int, 1>{});
    case 2:
      return use(std::integral_constant<int, 2>{});
    case 3:
      return use(std::integral_constant<int, 3>{});
    default:
      return use(std::integral_constant<int, 4>{});
  }
}

}  // namespace tenon::cpu
