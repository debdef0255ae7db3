// Mini-batch k-means (Sculley 2010, "Web-scale k-means clustering"): centres move after every small batch of
// random points, each by the mean of all points it has been given so far. Some per cent worse than Lloyd's
// iteration, and in its time and memory independent of the number of points but for the last pass, which
// labels them.
#pragma once

#include "tenon/cluster/kmeans.hpp"

namespace tenon {

struct MiniBatchOptions {
  Index k = 8;
  Index batch = 1024;
  double epochs = 5;           // points drawn, as a multiple of their number
  Tensor<float> centers = {};  // (k,d): start from these
};

namespace cluster {

// One batch after the other; centers (k,d), moved, are changed in place.
template <class Isa>
void mini_batches(const Points& points, const MiniBatchOptions& options, Index steps, Tensor<float>& centers,
                  Rng& rng) {
  constexpr Index columns = cpu::score_columns<Isa>;
  const Index k = options.k, d = points.d();
  std::vector<Index> batch(static_cast<std::size_t>(options.batch)), given(static_cast<std::size_t>(k));
  std::vector<std::int32_t> labels(batch.size());
  std::vector<double> mean(centers.span().begin(), centers.span().end());
  std::vector<float> row(static_cast<std::size_t>(d));
  for (Index step = 0; step < steps; ++step) {
    for (Index& i : batch) i = rng.below(points.n());
    const Centers<Isa> packed(centers.data(), k, d);
    parallel_ranges(options.batch, columns, [&](Index begin, Index end) {
      std::vector<float> buffer(static_cast<std::size_t>(d));
      cpu::Scratch<float> panel(cpu::packed_panel_size<Isa>(d));
      Nearest<Isa> nearest;
      const auto count = static_cast<std::size_t>(end - begin);
      points.template pack<Isa>(std::span<const Index>(batch).subspan(static_cast<std::size_t>(begin), count),
                                buffer.data(), panel.data());
      find_nearest<Isa>(panel.data(), packed, nearest);
      std::copy_n(nearest.label, end - begin, labels.begin() + begin);
    });
    for (std::size_t b = 0; b < batch.size(); ++b) {
      const Index c = labels[b];
      const double rate = 1 / static_cast<double>(++given[static_cast<std::size_t>(c)]);
      points.row(batch[b], row.data());
      for (Index p = 0; p < d; ++p) {
        double& m = mean[static_cast<std::size_t>(c * d + p)];
        m += rate * (static_cast<double>(row[static_cast<std::size_t>(p)]) - m);
      }
    }
    std::transform(mean.begin(), mean.end(), centers.data(), [](double m) { return static_cast<float>(m); });
  }
}

}  // namespace cluster

// x (n,d) with n >= k, finite. Starts from the centres given, or from k-means++ on a sample of the points. A
// centre that no batch gave a point stays where it started. `iterations` is the number of batches.
inline KMeansResult kmeans_mini_batch(const Tensor<float>& x, const MiniBatchOptions& options, Rng& rng) {
  const KMeansOptions checked{.k = options.k, .centers = options.centers};
  cluster::check(x, checked);
  require<ValueError>(options.batch >= 1 && options.epochs >= 0 && options.epochs <= 1e6,
                      "kmeans_mini_batch: batch is ", options.batch, " and epochs ", options.epochs,
                      ", expected at least 1, and 0 to 1000000");
  const Index n = x.size(0), d = x.size(1);
  const cluster::Points points(x, options.centers);
  KMeansResult result;
  result.iterations = static_cast<Index>(
      std::ceil(options.epochs * static_cast<double>(n) / static_cast<double>(options.batch)));
  result.centers = Tensor<float>({options.k, d});
  cpu::with_best_isa([&](auto isa) {
    using Isa = decltype(isa);
    Tensor<float> centers({options.k, d});
    if (options.centers.defined()) {
      for (Index c = 0; c < options.k; ++c)
        points.move(options.centers.data() + c * d, centers.data() + c * d);
    } else {
      const Index count = std::min(n, std::max(3 * options.batch, 5 * options.k));
      std::vector<Index> order(static_cast<std::size_t>(count));
      for (Index i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = count == n ? i : rng.below(n);
      Tensor<float> sample({count, d});
      for (Index i = 0; i < count; ++i) points.row(order[static_cast<std::size_t>(i)], sample.data() + i * d);
      const cluster::Points sampled(sample);
      const cluster::Panels<Isa> panels(sampled, checked.keep_bytes);
      const auto chosen =
          cluster::plus_plus<Isa>(panels, {}, options.k, cluster::greedy_trials(options.k), rng);
      for (Index c = 0; c < options.k; ++c) {
        std::copy_n(sample.data() + chosen[static_cast<std::size_t>(c)] * d, d, centers.data() + c * d);
      }
    }
    cluster::mini_batches<Isa>(points, options, result.iterations, centers, rng);
    points.restore(centers.data(), options.k, result.centers.data());
  });
  result.labels = nearest_centers(x, result.centers);
  result.inertia = cluster::inertia(x, result.centers, result.labels);
  return result;
}

}  // namespace tenon
