// The k nearest rows of a base to each query, exactly, by looking at all of them.
//
// Scores in float are computed tile by tile and used at once: a row is passed over only if its score shows, by
// the bound on its rounding error, that it is farther than the k found so far. The others are measured again in
// double by the plain loop, so the result is the plain loop's, ties included.
#pragma once

#include <atomic>
#include <memory>
#include <numeric>

#include "tenon/neighbors/prepared_rows.hpp"

namespace tenon {

struct KnnOptions {
  Index k = 1;
  Metric metric = Metric::l2;
};

struct Neighbors {
  Tensor<std::int32_t> indices;  // (queries,k): rows of the base, the nearest first; of equally near ones the lower
  Tensor<float> distances;       // (queries,k)
};

namespace neighbors {

struct Candidate {
  double rank;
  std::int32_t index;

  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.index < b.index;
  }
};

// Turns a tile of products into scores bias - product, and tells whether any is not above its query's limit.
template <bool product, class Isa>
struct CompareScores {
  Index count;  // rows of the tile
  const float* bias;
  const float* limits;
  float* tile;
  bool& any;

  [[gnu::always_inline]] void operator()() const {
    typedef float Vector __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    typedef std::int32_t Bits __attribute__((vector_size(Isa::bytes), aligned(sizeof(float))));
    constexpr int lanes = Isa::bytes / 4;
    Bits above = ~Bits{};
#pragma GCC unroll 4
    for (int v = 0; v < Isa::vectors; ++v) {
      const Vector limit = *reinterpret_cast<const Vector*>(limits + v * lanes);
      for (Index r = 0; r < count; ++r) {
        Vector& score = *reinterpret_cast<Vector*>(tile + (r * Isa::vectors + v) * lanes);
        if constexpr (product) score = bias[r] - score;
        above &= score > limit;
      }
    }
    alignas(64) std::int32_t lane[lanes];
    *reinterpret_cast<Bits*>(lane) = above;
    std::int32_t all = -1;
    for (int i = 0; i < lanes; ++i) all &= lane[i];
    any = all == 0;
  }
};

// The search of some queries in some rows: the part of it one thread does.
template <cpu::Score score, class Isa>
class Scan {
 public:
  static constexpr Index rows = cpu::score_rows<Isa>, columns = cpu::score_columns<Isa>;

  // queries (count,d)
  Scan(const PreparedRows& prepared, const float* base, const float* queries, Index count, Index k)
      : prepared_(prepared), base_(base), queries_(queries), count_(count), k_(k), d_(prepared.d()),
        panels_((count + columns - 1) / columns), panel_size_(cpu::packed_panel_size<Isa>(d_)),
        packed_(panels_ * panel_size_), square_(static_cast<std::size_t>(count)),
        limit_(static_cast<std::size_t>(panels_ * columns), -std::numeric_limits<float>::infinity()),
        found_(static_cast<std::size_t>(count)) {
    std::fill_n(packed_.data(), panels_ * panel_size_, 0.0f);
    std::vector<float> row(static_cast<std::size_t>(d_));
    for (Index i = 0; i < count_; ++i) {
      square_[static_cast<std::size_t>(i)] = prepared_.prepare(queries_ + i * d_, row.data());
      limit_[static_cast<std::size_t>(i)] = std::numeric_limits<float>::infinity();
      cpu::pack_column<Isa>(row.data(), d_, i % columns, packed_.data() + i / columns * panel_size_);
      found_[static_cast<std::size_t>(i)].reserve(static_cast<std::size_t>(k_));
    }
  }

  // Looks at rows first … end-1 of the base. Their tiles are visited in leaps of about 0.618 of their number, so
  // that a base sorted by distance costs no more than a shuffled one.
  void run(Index first, Index end) {
    const Index tiles = (end - first + rows - 1) / rows;
    Index leap = std::max<Index>(1, tiles * 618 / 1000);
    while (std::gcd(leap, tiles) != 1) ++leap;
    cpu::Scratch<float> packed_rows(cpu::packed_rows_size<Isa>(d_));
    alignas(64) float tile[rows * columns];
    for (Index t = 0, at = 0; t < tiles; ++t, at = (at + leap) % tiles) {
      const Index begin = first + at * rows, count = std::min(rows, end - begin);
      cpu::pack_rows<Isa>(prepared_.row(begin), count, d_, packed_rows.data());
      for (Index panel = 0; panel < panels_; ++panel) {
        cpu::score_tile<score, Isa>(d_, packed_rows.data(), packed_.data() + panel * panel_size_, tile);
        bool any = false;
        cpu::CompiledFor<Isa>::run(CompareScores<score == cpu::Score::product, Isa>{
            count, prepared_.bias() + begin, limit_.data() + panel * columns, tile, any});
        if (any) look(begin, count, panel * columns, tile);
      }
    }
  }

  // The candidates found for query i, nearest first.
  std::vector<Candidate>& sorted(Index i) {
    auto& found = found_[static_cast<std::size_t>(i)];
    std::sort_heap(found.begin(), found.end());
    return found;
  }

 private:
  void look(Index begin, Index count, Index first_query, const float* tile) {
    const Index width = std::min(columns, count_ - first_query);
    for (Index r = 0; r < count; ++r) {
      for (Index j = 0; j < width; ++j) {
        if (tile[r * columns + j] > limit_[static_cast<std::size_t>(first_query + j)]) continue;  // a NaN is looked at
        consider(first_query + j, begin + r);
      }
    }
  }

  void consider(Index query, Index row) {
    const Candidate candidate{rank_distance(prepared_.metric(), queries_ + query * d_, base_ + row * d_, d_),
                              static_cast<std::int32_t>(row)};
    auto& heap = found_[static_cast<std::size_t>(query)];  // the farthest on top
    if (static_cast<Index>(heap.size()) == k_) {
      if (!(candidate < heap.front())) return;
      std::pop_heap(heap.begin(), heap.end());
      heap.back() = candidate;
    } else {
      heap.push_back(candidate);
    }
    std::push_heap(heap.begin(), heap.end());
    if (static_cast<Index>(heap.size()) < k_) return;
    limit_[static_cast<std::size_t>(query)] =
        prepared_.score_limit(heap.front().rank, square_[static_cast<std::size_t>(query)]);
  }

  const PreparedRows& prepared_;
  const float* base_;
  const float* queries_;
  Index count_, k_, d_, panels_, panel_size_;
  cpu::Scratch<float> packed_;
  std::vector<double> square_;
  std::vector<float> limit_;  // the largest score worth a look
  std::vector<std::vector<Candidate>> found_;
};

inline void require_range(const Tensor<float>& x, Metric metric, const char* who, const char* what) {
  if (metric != Metric::chi2 && metric != Metric::hellinger) return;
  for (Index i = 0; i < x.numel(); ++i) {
    require<ValueError>(x.data()[i] >= 0, who, ": ", what, " has ", x.data()[i], " in row ", i / x.size(1), ", column ",
                        i % x.size(1), ", expected no negative numbers for ", metric_name(metric));
  }
}

}  // namespace neighbors

// A base prepared for searching. Holds x and one rearranged copy of it.
class NearestNeighbors {
 public:
  // x (n,d), finite; for chi2 and hellinger not negative.
  explicit NearestNeighbors(const Tensor<float>& x, Metric metric = Metric::l2, const char* who = "NearestNeighbors")
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
    require<ShapeError>(queries.size(1) == x_.size(1), who_, ": queries is ", queries.shape(), " and the base ",
                        x_.shape(), ", expected as many columns");
    require<ValueError>(k >= 1 && k <= x_.size(0), who_, ": k is ", k, ", expected 1 to ", x_.size(0),
                        ", the number of rows of the base");
    require_finite(queries, who_, "queries");
    neighbors::require_range(queries, prepared_->metric(), who_, "queries");
    Neighbors out{Tensor<std::int32_t>({queries.size(0), k}), Tensor<float>({queries.size(0), k})};
    cpu::with_best_isa([&](auto isa) {
      using Isa = decltype(isa);
      switch (prepared_->metric()) {
        case Metric::l1: return search_with<cpu::Score::l1, Isa>(queries, k, out);
        case Metric::chi2: return search_with<cpu::Score::chi2, Isa>(queries, k, out);
        default: return search_with<cpu::Score::product, Isa>(queries, k, out);
      }
    });
    return out;
  }

  const Tensor<float>& base() const { return x_; }

 private:
  template <cpu::Score score, class Isa>
  void search_with(const Tensor<float>& queries, Index k, Neighbors& out) const {
    // A group of queries whose panels stay in the second-level cache meets the base; few groups split the base.
    const Index m = queries.size(0), n = x_.size(0), d = x_.size(1), columns = cpu::score_columns<Isa>;
    if (m == 0) return;
    const Index group = columns * std::clamp<Index>(65536 / (d * columns), 1, 16), groups = (m + group - 1) / group;
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
      merge(std::span<Found>(found).subspan(static_cast<std::size_t>(g * parts), static_cast<std::size_t>(parts)),
            first, count, k, out);
    });
  }

  // Writes the k nearest of what the parts found for each query of a group, and frees it.
  void merge(std::span<std::vector<std::vector<neighbors::Candidate>>> parts, Index first, Index count, Index k,
             Neighbors& out) const {
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
inline Neighbors knn_search(const Tensor<float>& base, const Tensor<float>& queries, const KnnOptions& options = {}) {
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
