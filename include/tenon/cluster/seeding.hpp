// Starting centres by k-means++ (Arthur & Vassilvitskii 2007): each next centre is a point drawn with
// probability proportional to its squared distance D² from the centres so far. The greedy variant (ibid., §5,
// "2 + log k candidates") draws several points and keeps the one that leaves the smallest sum of D².
//
// Distances are sums of squared differences, not |x|² - 2x·c + |c|²: a point equal to a centre has D² = 0
// exactly and is never drawn again while others are left.
#pragma once

#include <cmath>

#include "tenon/cluster/nearest_center.hpp"
#include "tenon/core/random.hpp"

namespace tenon::cluster {

// For the points of one panel and up to `together` candidates (d) each: trial = min(closest, |x -
// candidate|²), and sums of weight · trial, lane by lane.
template <class Isa>
struct TryCandidates {
  static constexpr int lanes = Isa::bytes / 4, together = Isa::bytes == 64 ? 8 : 4;
  Index d;
  const float* panel;
  const float* const* candidates;
  const float* closest;
  const float* weights;
  float* const* trials;
  float* sums;  // (together, lanes)

  [[gnu::always_inline]] void operator()() const {
    typedef float Vector __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    Vector square[together][Isa::vectors] = {};
    for (Index p = 0; p < d; ++p) {
      Vector x[Isa::vectors];
      for (int v = 0; v < Isa::vectors; ++v) {
        x[v] = *reinterpret_cast<const Vector*>(panel + (p * Isa::vectors + v) * lanes);
      }
#pragma GCC unroll 8
      for (int q = 0; q < together; ++q) {
        const float c = candidates[q][p];
#pragma GCC unroll 4
        for (int v = 0; v < Isa::vectors; ++v) {
          const Vector difference = x[v] - c;
          square[q][v] += difference * difference;
        }
      }
    }
    for (int q = 0; q < together; ++q) {
      Vector& sum = *reinterpret_cast<Vector*>(sums + q * lanes);
      for (int v = 0; v < Isa::vectors; ++v) {
        const Vector before = *reinterpret_cast<const Vector*>(closest + v * lanes);
        const Vector least = square[q][v] < before ? square[q][v] : before;
        *reinterpret_cast<Vector*>(trials[q] + v * lanes) = least;
        sum += least * *reinterpret_cast<const Vector*>(weights + v * lanes);
      }
    }
  }
};

// Squared distances of all points to the centres chosen so far, and drawing points by them.
template <class Isa>
class Seeding {
 public:
  static constexpr Index columns = cpu::score_columns<Isa>, together = TryCandidates<Isa>::together;
  static constexpr Index block = 8;  // panels whose D² are summed into one number

  // weights (n) may be empty: all 1.
  Seeding(const Panels<Isa>& panels, std::span<const float> weights, Index trials)
      : panels_(panels),
        blocks_((panels.count() + block - 1) / block),
        trials_((trials + together - 1) / together * together),
        weights_(zeros(1)),
        distances_(zeros(trials_ + 1)) {
    const Index n = panels.points().n();
    for (Index i = 0; i < n; ++i)
      weights_.data()[i] = weights.empty() ? 1.0f : weights[static_cast<std::size_t>(i)];
    for (Index i = 0; i <= trials_; ++i) buffers_.push_back(distances_.data() + i * distances_.size(1));
    distances_.fill_(std::numeric_limits<float>::infinity());
    potentials_.resize(static_cast<std::size_t>(blocks_ * trials_));
    block_potential_.resize(static_cast<std::size_t>(blocks_));
  }

  // Adds the best of the candidate points and returns it: the one that leaves the least sum of weight · D².
  Index add_best(std::span<const Index> candidates) {
    const auto asked = static_cast<Index>(candidates.size());
    const Index d = panels_.points().d(), padded = (asked + together - 1) / together * together;
    Tensor<float> rows({padded, d});
    std::vector<const float*> row(static_cast<std::size_t>(padded));
    for (Index q = 0; q < padded; ++q) {
      panels_.points().row(candidates[static_cast<std::size_t>(std::min(q, asked - 1))], rows.data() + q * d);
      row[static_cast<std::size_t>(q)] = rows.data() + q * d;
    }
    parallel_for(blocks_, [&](Index b) { try_block(b, padded, row.data()); });

    Index best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (Index q = 0; q < asked; ++q) {
      double sum = 0;
      for (Index b = 0; b < blocks_; ++b) sum += potentials_[static_cast<std::size_t>(b * trials_ + q)];
      if (sum < least) {
        least = sum;
        best = q;
      }
    }
    for (Index b = 0; b < blocks_; ++b) {
      block_potential_[static_cast<std::size_t>(b)] =
          potentials_[static_cast<std::size_t>(b * trials_ + best)];
    }
    potential_ = least;
    std::swap(buffers_[0], buffers_[static_cast<std::size_t>(best + 1)]);
    return candidates[static_cast<std::size_t>(best)];
  }

  // A point drawn with probability proportional to weight · D²; any point where all D² are 0.
  Index draw(Rng& rng) const {
    const Index n = panels_.points().n();
    const double unit = rng.uniform() + rng.uniform() * 0x1p-24;
    if (!(potential_ > 0)) return std::min(n - 1, static_cast<Index>(unit * static_cast<double>(n)));
    double left = unit * potential_;
    Index b = 0;
    while (b + 1 < blocks_ && left >= block_potential_[static_cast<std::size_t>(b)]) {
      left -= block_potential_[static_cast<std::size_t>(b)];
      ++b;
    }
    // Rounding may carry the rest past the block; the last point that could be drawn stands in for it.
    Index drawn = -1;
    for (;; --b) {
      const Index first = b * block * columns, end = std::min(n, first + block * columns);
      for (Index i = first; i < end; ++i) {
        const double mass = static_cast<double>(weights_.data()[i]) * static_cast<double>(buffers_[0][i]);
        if (!(mass > 0)) continue;
        drawn = i;
        if (left < mass) return drawn;
        left -= mass;
      }
      if (drawn >= 0 || b == 0) return std::max<Index>(drawn, 0);
    }
  }

  double potential() const { return potential_; }

 private:
  Tensor<float> zeros(Index rows) const { return Tensor<float>::zeros({rows, panels_.count() * columns}); }

  void try_block(Index b, Index padded, const float* const* rows) {
    constexpr int lanes = TryCandidates<Isa>::lanes;
    cpu::Scratch<float> room(panels_.room());
    std::vector<float> sums(static_cast<std::size_t>(padded * lanes));
    const Index end = std::min(panels_.count(), (b + 1) * block);
    for (Index i = b * block; i < end; ++i) {
      const float* panel = panels_.get(i, room.data());
      for (Index q = 0; q < padded; q += together) {
        float* trials[together];
        for (Index j = 0; j < together; ++j)
          trials[j] = buffers_[static_cast<std::size_t>(q + j + 1)] + i * columns;
        cpu::CompiledFor<Isa>::run(
            TryCandidates<Isa>{panels_.points().d(), panel, rows + q, buffers_[0] + i * columns,
                               weights_.data() + i * columns, trials, sums.data() + q * lanes});
      }
    }
    for (Index q = 0; q < padded; ++q) {
      double sum = 0;
      for (Index j = 0; j < lanes; ++j)
        sum += static_cast<double>(sums[static_cast<std::size_t>(q * lanes + j)]);
      potentials_[static_cast<std::size_t>(b * trials_ + q)] = sum;
    }
  }

  const Panels<Isa>& panels_;
  Index blocks_, trials_;
  Tensor<float> weights_;           // (1,n), zero beyond the last point
  Tensor<float> distances_;         // D² now, and with each candidate
  std::vector<float*> buffers_;     // its rows: buffers_[0] is D² now
  std::vector<double> potentials_;  // (blocks, trials)
  std::vector<double> block_potential_;
  double potential_ = 0;
};

// The indices of k points chosen by k-means++ with `trials` candidates a step (1: the plain method).
template <class Isa>
std::vector<Index> plus_plus(const Panels<Isa>& panels, std::span<const float> weights, Index k, Index trials,
                             Rng& rng) {
  Seeding<Isa> seeding(panels, weights, trials);
  std::vector<Index> chosen;
  double total = 0;
  for (const float w : weights) total += static_cast<double>(w);
  Index first = rng.below(panels.points().n());
  if (!weights.empty()) {  // the first point, too, in proportion to its weight
    double left = rng.uniform() * total;
    for (first = 0; first + 1 < panels.points().n(); ++first) {
      left -= static_cast<double>(weights[static_cast<std::size_t>(first)]);
      if (left < 0) break;
    }
  }
  chosen.push_back(seeding.add_best(std::span<const Index>(&first, 1)));
  std::vector<Index> candidates(static_cast<std::size_t>(trials));
  while (static_cast<Index>(chosen.size()) < k) {
    for (Index& c : candidates) c = seeding.draw(rng);
    chosen.push_back(seeding.add_best(candidates));
  }
  return chosen;
}

// How many candidates the greedy variant draws for k centres.
inline Index greedy_trials(Index k) { return 2 + static_cast<Index>(std::log(static_cast<double>(k))); }

}  // namespace tenon::cluster
