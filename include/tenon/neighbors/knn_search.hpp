// The k nearest rows of a base to each query, exactly, by looking at all of them.
#pragma once

#include <atomic>
#include <memory>

#include "tenon/neighbors/scan.hpp"

namespace tenon {

struct KnnOptions {
  Index k = 1;
  Metric metric = Metric::l2;
};

struct Neighbors {
  Tensor<std::int32_t>
      indices;              // (queries,k): rows of the base, nearest first; of equally near ones the lower
  Tensor<float> distances;  // (queries,k)
};

namespace neighbors {

inline void require_range(const Tensor<float>& x, Metric metric, const char* who, const char* what) {
  if (metric != Metric::chi2 && metric != Metric::hellinger) return;
  for (Index i = 0; i < x.numel(); ++i) {
    require<ValueError>(x.data()[i] >= 0, who, ": ", what, " has ", x.data()[i], " in row ", i / x.size(1),
                        ", column ", i % x.size(1), ", expected no negative numbers for ",
                        metric_name(metric));
  }
}

}  // namespace neighbors

// A base prepared for searching. Holds x and one rearranged copy of it.
class NearestNeighbors {
 public:
  // x (n,d), finite; for chi2 and hellinger not negative.
  explicit NearestNeighbors(const Tensor<float>& x, Metric metric = Metric::l2,
                            const char* who = "NearestNeighbors")
      : who_(who), x_(x) {
    require_samples(x, who, "the base");
    require_finite(x, who, "the base");
    neighbors::require_range(x, metric, who, "the base");
    require<ValueError>(x.size(0) >= 1 && x.size(0) <= std::numeric_limits<std::int32_t>::max(), who,
                        ": the base is ", x.shape(), ", expected 1 to 2147483647 rows");
    prepared_ = std::make_shared<const neighbors::PreparedRows>(x, metric);
  }

  // The k nearest rows to each of queries (m,d); 1 <= k <= n.
  Neighbors search(const Tensor<float>& queries, Index k) const {
    require_samples(queries, who_, "queries");
    require<ShapeError>(queries.size(1) == x_.size(1), who_, ": queries is ", queries.shape(),
                        " and the base ", x_.shape(), ", expected as many columns");
    require<ValueError>(k >= 1 && k <= x_.size(0), who_, ": k is ", k, ", expected 1 to ", x_.size(0),
                        ", the number of rows of the base");
    require_finite(queries, who_, "queries");
    neighbors::require_range(queries, prepared_->metric(), who_, "queries");
    Neighbors out{Tensor<std::int32_t>({queries.size(0), k}), Tensor<float>({queries.size(0), k})};
    cpu::with_best_isa([&](auto isa) {
      using Isa = decltype(isa);
      switch (prepared_->metric()) {
        case Metric::l1:
          return search_with<cpu::Score::l1, Isa>(queries, k, out);
        case Metric::chi2:
          return search_with<cpu::Score::chi2, Isa>(queries, k, out);
        default:
          return search_with<cpu::Score::product, Isa>(queries, k, out);
      }
    });
    return out;
  }

  const Tensor<float>& base() const { return x_; }

 private:
  template <cpu::Score score, class Isa>
  void search_with(const Tensor<float>& queries, Index k, Neighbors& out) const {
    // A group of queries whose panels stay in the second-level cache meets the base; few groups split the
    // base.
    const Index m = queries.size(0), n = x_.size(0), d = x_.size(1), columns = cpu::score_columns<Isa>;
    if (m == 0) return;
    const Index group = columns * std::clamp<Index>(65536 / (d * columns), 1, 16),
                groups = (m + group - 1) / group;
    const Index parts = groups >= 8 ? 1 : std::clamp<Index>(n / 2048, 1, 8 / groups);
    using Found = std::vector<std::vector<neighbors::Candidate>>;
    std::vector<Found> found(static_cast<std::size_t>(groups * parts));
    std::vector<std::atomic<Index>> waiting(static_cast<std::size_t>(groups));
    for (auto& w : waiting) w = parts;
    parallel_for(groups * parts, [&](Index job) {
      const Index g = job / parts, part = job % parts, first = g * group, count = std::min(group, m - first);
      neighbors::Scan<score, Isa> scan(*prepared_, x_.data(), queries.data() + first * d, count, k);
      scan.run(part * n / parts, (part + 1) * n / parts);
      auto& mine = found[static_cast<std::size_t>(job)];
      for (Index i = 0; i < count; ++i) mine.push_back(std::move(scan.sorted(i)));
      if (--waiting[static_cast<std::size_t>(g)] > 0) return;
      merge(std::span<Found>(found).subspan(static_cast<std::size_t>(g * parts),
                                            static_cast<std::size_t>(parts)),
            first, count, k, out);
    });
  }

  // Writes the k nearest of what the parts found for each query of a group, and frees it.
  void merge(std::span<std::vector<std::vector<neighbors::Candidate>>> parts, Index first, Index count,
             Index k, Neighbors& out) const {
    for (Index i = 0; i < count; ++i) {
      auto& all = parts[0][static_cast<std::size_t>(i)];
      for (std::size_t p = 1; p < parts.size(); ++p) {
        const auto& more = parts[p][static_cast<std::size_t>(i)];
        all.insert(all.end(), more.begin(), more.end());
      }
      std::sort(all.begin(), all.end());
      for (Index j = 0; j < k; ++j) {
        const auto& c = all[static_cast<std::size_t>(j)];
        out.indices.data()[(first + i) * k + j] = c.index;
        out.distances.data()[(first + i) * k + j] =
            neighbors::narrow(neighbors::from_rank(prepared_->metric(), c.rank));
      }
    }
    for (auto& p : parts) p = {};
  }

  const char* who_;
  Tensor<float> x_;
  std::shared_ptr<const neighbors::PreparedRows> prepared_;
};

// The k nearest rows of base (n,d) to each of queries (m,d); 1 <= k <= n.
inline Neighbors knn_search(const Tensor<float>& base, const Tensor<float>& queries,
                            const KnnOptions& options = {}) {
  return NearestNeighbors(base, options.metric, "knn_search").search(queries, options.k);
}

// The same by plain loops.
inline Neighbors knn_search_reference(const Tensor<float>& base, const Tensor<float>& queries,
                                      const KnnOptions& options = {}) {
  const Index n = base.size(0), m = queries.size(0), d = base.size(1), k = options.k;
  Neighbors out{Tensor<std::int32_t>({m, k}), Tensor<float>({m, k})};
  std::vector<neighbors::Candidate> all(static_cast<std::size_t>(n));
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      all[static_cast<std::size_t>(j)] = {
          neighbors::rank_distance(options.metric, queries.data() + i * d, base.data() + j * d, d),
          static_cast<std::int32_t>(j)};
    }
    std::sort(all.begin(), all.end());
    for (Index j = 0; j < k; ++j) {
      const auto& c = all[static_cast<std::size_t>(j)];
      out.indices.data()[i * k + j] = c.index;
      out.distances.data()[i * k + j] = neighbors::narrow(neighbors::from_rank(options.metric, c.rank));
    }
  }
  return out;
}

}  // namespace tenon
