// k-means: k centres that make the sum of squared distances of the points to their nearest centre small.
//
//   auto words = kmeans(descriptors, {.k = 400}, rng).centers;
#pragma once

#include <optional>

#include "tenon/cluster/lloyd.hpp"
#include "tenon/cluster/parallel_seeding.hpp"
#include "tenon/cluster/seeding.hpp"

namespace tenon {

// Where the centres start. `automatic`: greedy, or k-means‖ where n·k is 2^28 and more.
enum class KMeansInit { automatic, random, plus_plus, greedy_plus_plus, parallel };

// How points find their centres. Both give the same result; Hamerly's bounds pay from some 16 centres on.
enum class KMeansAlgorithm { automatic, lloyd, hamerly };

struct KMeansOptions {
  Index k = 8;
  KMeansInit init = KMeansInit::automatic;
  Tensor<float> centers = {};  // (k,d): start from these; `init` and `restarts` then have no say
  Index restarts = 1;          // runs from different starts, of which the best is kept
  Index max_iterations = 300;
  double tolerance = 1e-4;  // stop when the squared movements sum to less than this part of the mean variance
  KMeansAlgorithm algorithm = KMeansAlgorithm::automatic;
  Index keep_bytes = Index{1} << 30;  // a second, rearranged copy of x is kept if it is no larger than this
};

struct KMeansResult {
  Tensor<float> centers;        // (k,d)
  Tensor<std::int32_t> labels;  // (n): the nearest centre, the lowest of equally near ones
  double inertia = 0;           // sum of squared distances of the points to their centres
  Index iterations = 0;
};

namespace cluster {

// Σ |x_i - centers[labels_i]|², whatever the number of threads.
inline double inertia(const Tensor<float>& x, const Tensor<float>& centers,
                      const Tensor<std::int32_t>& labels) {
  const Index n = x.size(0), d = x.size(1), pieces = fixed_pieces(n, 1024);
  std::vector<double> sums(static_cast<std::size_t>(pieces));
  parallel_for(pieces, [&](Index piece) {
    double sum = 0;
    for (Index i = piece * n / pieces; i < (piece + 1) * n / pieces; ++i) {
      sum += squared_distance(x.data() + i * d, centers.data() + labels.data()[i] * d, d);
    }
    sums[static_cast<std::size_t>(piece)] = sum;
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Starting centres (k,d), moved.
template <class Isa>
Tensor<float> starting_centers(const Panels<Isa>& panels, const KMeansOptions& options, Rng& rng) {
  const Points& points = panels.points();
  const Index k = options.k, n = points.n(), d = points.d();
  Tensor<float> centers({k, d});
  if (options.centers.defined()) {
    for (Index c = 0; c < k; ++c) points.move(options.centers.data() + c * d, centers.data() + c * d);
    return centers;
  }
  KMeansInit init = options.init;
  if (init == KMeansInit::automatic) {
    init = n >= (Index{1} << 28) / k ? KMeansInit::parallel : KMeansInit::greedy_plus_plus;
  }
  if (init == KMeansInit::parallel) return parallel_seeds<Isa>(panels, k, rng);
  std::vector<Index> chosen;
  if (init == KMeansInit::random) {
    chosen = rng.permutation(n);
  } else {
    chosen = plus_plus<Isa>(panels, {}, k, init == KMeansInit::plus_plus ? 1 : greedy_trials(k), rng);
  }
  for (Index c = 0; c < k; ++c) points.row(chosen[static_cast<std::size_t>(c)], centers.data() + c * d);
  return centers;
}

template <class Isa>
KMeansResult run(const Tensor<float>& x, const Panels<Isa>& panels, const KMeansOptions& options, Rng& rng) {
  const bool bounds = options.algorithm == KMeansAlgorithm::hamerly ||
                      (options.algorithm == KMeansAlgorithm::automatic && options.k >= 16);
  Lloyd<Isa> lloyd(panels, starting_centers<Isa>(panels, options, rng), bounds);
  KMeansResult result;
  bool settled = false;  // the labels belong to the centres
  while (!settled && result.iterations < options.max_iterations) {
    settled = lloyd.assign() == 0;
    if (settled) break;
    ++result.iterations;
    if (lloyd.update() <= options.tolerance * panels.points().variance()) break;
  }
  if (!settled) lloyd.assign();
  result.centers = Tensor<float>({options.k, x.size(1)});
  panels.points().restore(lloyd.centers().data(), options.k, result.centers.data());
  result.labels = lloyd.labels();
  result.inertia = inertia(x, result.centers, result.labels);
  return result;
}

inline void check(const Tensor<float>& x, const KMeansOptions& options) {
  require_samples(x, "kmeans", "x");
  require<ValueError>(options.k >= 1 && options.k <= x.size(0), "kmeans: k is ", options.k,
                      ", expected 1 to ", x.size(0), ", the number of rows of x");
  require<ValueError>(options.restarts >= 1, "kmeans: restarts is ", options.restarts,
                      ", expected at least 1");
  require<ValueError>(options.max_iterations >= 0 && options.tolerance >= 0, "kmeans: max_iterations is ",
                      options.max_iterations, " and tolerance ", options.tolerance, ", expected 0 or more");
  require_finite(x, "kmeans", "x");
  if (!options.centers.defined()) return;
  require<ShapeError>(options.centers.shape() == Shape{options.k, x.size(1)}, "kmeans: centers is ",
                      options.centers.shape(), ", expected (", options.k, ",", x.size(1), ")");
  require_finite(options.centers, "kmeans", "centers");
}

}  // namespace cluster

// x (n,d) with n >= k, finite -> centres and labels; ShapeError or ValueError otherwise. Centres that lose
// all their points are dealt with as Lloyd::update() says, so with fewer than k different points some centres
// coincide or stay unused. The result depends on x, the options and rng, not on the number of threads.
inline KMeansResult kmeans(const Tensor<float>& x, const KMeansOptions& options, Rng& rng) {
  cluster::check(x, options);
  const cluster::Points points(x, options.centers);
  std::optional<KMeansResult> best;
  cpu::with_best_isa([&](auto isa) {
    const cluster::Panels<decltype(isa)> panels(points, options.keep_bytes);
    const Index runs = options.centers.defined() ? 1 : options.restarts;
    for (Index i = 0; i < runs; ++i) {
      KMeansResult result = cluster::run(x, panels, options, rng);
      if (!best || result.inertia < best->inertia) best = std::move(result);
    }
  });
  return *best;
}

// The nearest of centers (k,d) for each row of x (n,d) -> (n); the lowest of equally near ones.
inline Tensor<std::int32_t> nearest_centers(const Tensor<float>& x, const Tensor<float>& centers) {
  require_samples(x, "nearest_centers", "x");
  require<ShapeError>(centers.rank() == 2 && centers.size(0) >= 1 && centers.size(1) == x.size(1),
                      "nearest_centers: centers is ", centers.shape(), ", expected (k,", x.size(1),
                      ") as x is ", x.shape());
  require_finite(x, "nearest_centers", "x");
  require_finite(centers, "nearest_centers", "centers");
  Tensor<std::int32_t> labels({x.size(0)});
  if (x.size(0) == 0) return labels;
  const cluster::Points points(x, centers);
  Tensor<float> moved(centers.shape());
  for (Index c = 0; c < centers.size(0); ++c)
    points.move(centers.data() + c * x.size(1), moved.data() + c * x.size(1));
  cpu::with_best_isa([&](auto isa) {
    using Isa = decltype(isa);
    const cluster::Panels<Isa> panels(points, 0);
    const cluster::Centers<Isa> packed(moved.data(), moved.size(0), moved.size(1));
    cluster::for_each_nearest<Isa>(panels, packed, [&](Index panel, const cluster::Nearest<Isa>& nearest) {
      std::copy_n(nearest.label, panels.width(panel), labels.data() + panel * cluster::Panels<Isa>::columns);
    });
  });
  return labels;
}

}  // namespace tenon
