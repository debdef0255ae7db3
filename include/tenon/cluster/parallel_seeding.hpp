// Starting centres by k-means‖ (Bahmani et al. 2012, "Scalable k-means++"): in each of a few rounds every
// point is taken on its own with probability 2k·D²/ΣD²; the points taken, weighted by how many points are
// nearest to each, are then reduced to k by k-means++. A handful of passes over the points instead of k.
#pragma once

#include "tenon/cluster/seeding.hpp"

namespace tenon::cluster {

// Centres (k,d), moved.
template <class Isa>
Tensor<float> parallel_seeds(const Panels<Isa>& panels, Index k, Rng& rng) {
  constexpr int rounds = 5;
  constexpr Index columns = Panels<Isa>::columns;
  const Points& points = panels.points();
  const Index n = points.n(), d = points.d();
  std::vector<float> closest(static_cast<std::size_t>(n), std::numeric_limits<float>::infinity());
  std::vector<double> panel_sum(static_cast<std::size_t>(panels.count()));
  std::vector<Index> taken{rng.below(n)};
  std::size_t seen = 0;

  const auto gather = [&](std::size_t from) {
    Tensor<float> rows({static_cast<Index>(taken.size() - from), d});
    for (std::size_t i = from; i < taken.size(); ++i)
      points.row(taken[i], rows.data() + static_cast<Index>(i - from) * d);
    return rows;
  };
  for (int round = 0; round < rounds && seen < taken.size(); ++round) {
    const Tensor<float> rows = gather(seen);
    const Centers<Isa> fresh(rows.data(), rows.size(0), d);
    seen = taken.size();
    for_each_nearest<Isa>(panels, fresh, [&](Index panel, const Nearest<Isa>& nearest) {
      double sum = 0;
      for (Index j = 0; j < panels.width(panel); ++j) {
        const Index i = panel * columns + j;
        const double length = points.length(i);
        double square = 2 * static_cast<double>(nearest.best[j]) + length * length;
        if (square <= 2 * score_error(d, length, fresh.longest()))
          square = 0;  // equal, as far as float can tell
        float& kept = closest[static_cast<std::size_t>(i)];
        kept = std::min(kept, static_cast<float>(square));
        sum += static_cast<double>(kept);
      }
      panel_sum[static_cast<std::size_t>(panel)] = sum;
    });
    double potential = 0;
    for (const double s : panel_sum) potential += s;
    if (!(potential > 0)) break;
    const RngState state = rng.state();
    const std::uint64_t start = rng.reserve_blocks(n);
    for (Index i = 0; i < n; ++i) {
      const double chance =
          2 * static_cast<double>(k) * static_cast<double>(closest[static_cast<std::size_t>(i)]) / potential;
      const auto word = static_cast<std::uint64_t>(i);
      if (unit_from_bits(philox(state.seed, start + word / 4, state.stream)[word % 4]) < chance)
        taken.push_back(i);
    }
  }
  while (static_cast<Index>(taken.size()) < k) taken.push_back(rng.below(n));

  const Tensor<float> rows = gather(0);
  const Centers<Isa> all(rows.data(), rows.size(0), d);
  std::vector<std::int32_t> owner(static_cast<std::size_t>(n));
  for_each_nearest<Isa>(panels, all, [&](Index panel, const Nearest<Isa>& nearest) {
    std::copy_n(nearest.label, panels.width(panel), owner.begin() + panel * columns);
  });
  std::vector<float> weights(taken.size());
  for (const std::int32_t o : owner) weights[static_cast<std::size_t>(o)] += 1;

  const Points candidates(rows);
  const Panels<Isa> candidate_panels(candidates, std::numeric_limits<Index>::max());
  const std::vector<Index> chosen = plus_plus<Isa>(candidate_panels, weights, k, greedy_trials(k), rng);
  Tensor<float> centers({k, d});
  for (Index c = 0; c < k; ++c) {
    std::copy_n(rows.data() + chosen[static_cast<std::size_t>(c)] * d, d, centers.data() + c * d);
  }
  return centers;
}

}  // namespace tenon::cluster
