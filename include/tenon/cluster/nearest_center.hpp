// The nearest and second nearest centre of each point: tiles of products |c|²/2 - x·c, of which the smallest
// is kept as they are computed. The (n,k) matrix of distances is never stored.
#pragma once

#include <limits>

#include "tenon/cluster/points.hpp"

namespace tenon::cluster {

// The plain loop: the index of the row of centers (k,d) nearest to x (d), the lowest of equally near ones.
inline std::int32_t nearest_center_reference(const float* x, const float* centers, Index k, Index d) {
  std::int32_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (Index c = 0; c < k; ++c) {
    double distance = 0;
    for (Index p = 0; p < d; ++p) {
      const double difference = static_cast<double>(x[p]) - static_cast<double>(centers[c * d + p]);
      distance += difference * difference;
    }
    if (distance < least) {
      least = distance;
      best = static_cast<std::int32_t>(c);
    }
  }
  return best;
}

// Moved centres, packed for the tiles.
template <class Isa>
class Centers {
 public:
  static constexpr Index rows = cpu::score_rows<Isa>;

  // values (k,d)
  Centers(const float* values, Index k, Index d)
      : k_(k),
        d_(d),
        packed_({(k + rows - 1) / rows, cpu::packed_rows_size<Isa>(d)}),
        half_square_(static_cast<std::size_t>(k)) {
    for (Index c = 0; c < k; c += rows) {
      cpu::pack_rows<Isa>(values + c * d, std::min(rows, k - c), d,
                          packed_.data() + c / rows * packed_.size(1));
    }
    double largest = 0;
    for (Index c = 0; c < k; ++c) {
      double square = 0;
      for (Index p = 0; p < d; ++p) {
        const auto v = static_cast<double>(values[c * d + p]);
        square += v * v;
      }
      half_square_[static_cast<std::size_t>(c)] = static_cast<float>(square / 2);
      largest = std::max(largest, square);
    }
    longest_ = std::sqrt(largest);
  }

  Index k() const { return k_; }
  Index d() const { return d_; }
  Index tiles() const { return packed_.size(0); }
  const float* tile(Index i) const { return packed_.data() + i * packed_.size(1); }
  const float* half_square() const { return half_square_.data(); }
  double longest() const { return longest_; }

 private:
  Index k_, d_;
  Tensor<float> packed_;
  std::vector<float> half_square_;
  double longest_ = 0;
};

// For each point of a panel: the smallest |c|²/2 - x·c, whose it is, and the next smallest.
template <class Isa>
struct Nearest {
  static constexpr Index columns = cpu::score_columns<Isa>;
  alignas(64) float best[columns];
  alignas(64) float second[columns];
  alignas(64) std::int32_t label[columns];
};

// Takes `count` rows of a tile, the centres from `first`, into account. Of equal scores the lower index
// stays.
template <class Isa>
struct KeepNearest {
  Index first, count;
  const float* half_square;
  const float* tile;
  Nearest<Isa>& nearest;

  [[gnu::always_inline]] void operator()() const {
    typedef float Vector __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    typedef std::int32_t Ints __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    constexpr int lanes = Isa::bytes / 4;
#pragma GCC unroll 4
    for (int v = 0; v < Isa::vectors; ++v) {
      Vector& best = *reinterpret_cast<Vector*>(nearest.best + v * lanes);
      Vector& second = *reinterpret_cast<Vector*>(nearest.second + v * lanes);
      Ints& label = *reinterpret_cast<Ints*>(nearest.label + v * lanes);
      Vector b = best, s = second;
      Ints l = label;
      for (Index r = 0; r < count; ++r) {
        const Vector product = *reinterpret_cast<const Vector*>(tile + (r * Isa::vectors + v) * lanes);
        const Vector score = half_square[r] - product;
        const Ints nearer = score < b;
        const Vector farther = nearer ? b : score;
        s = farther < s ? farther : s;
        b = nearer ? score : b;
        l = nearer ? Ints{} + static_cast<std::int32_t>(first + r) : l;
      }
      best = b;
      second = s;
      label = l;
    }
  }
};

template <class Isa>
void find_nearest(const float* panel, const Centers<Isa>& centers, Nearest<Isa>& nearest) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::fill_n(nearest.best, Nearest<Isa>::columns, infinity);
  std::fill_n(nearest.second, Nearest<Isa>::columns, infinity);
  std::fill_n(nearest.label, Nearest<Isa>::columns, 0);
  alignas(64) float tile[cpu::score_rows<Isa> * cpu::score_columns<Isa>];
  for (Index t = 0; t < centers.tiles(); ++t) {
    const Index first = t * Centers<Isa>::rows, count = std::min(Centers<Isa>::rows, centers.k() - first);
    cpu::score_tile<cpu::Score::product, Isa>(centers.d(), centers.tile(t), panel, tile);
    cpu::CompiledFor<Isa>::run(KeepNearest<Isa>{first, count, centers.half_square() + first, tile, nearest});
  }
}

// Calls use(panel index, Nearest) for every panel, in parallel.
template <class Isa, class Use>
void for_each_nearest(const Panels<Isa>& panels, const Centers<Isa>& centers, const Use& use) {
  parallel_ranges(panels.count(), 4, [&](Index begin, Index end) {
    cpu::Scratch<float> room(panels.room());
    Nearest<Isa> nearest;
    for (Index i = begin; i < end; ++i) {
      find_nearest<Isa>(panels.get(i, room.data()), centers, nearest);
      use(i, nearest);
    }
  });
}

}  // namespace tenon::cluster
