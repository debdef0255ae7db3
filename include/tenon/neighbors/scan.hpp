// Some queries against some rows of the base: the part of an exact search that one thread does.
//
// Scores in float are computed tile by tile and used at once: a row is passed over only if its score shows,
// by the bound on its rounding error, that it is farther than the k found so far. The others are measured
// again in double by the plain loop, so the result is the plain loop's, ties included.
#pragma once

#include <numeric>

#include "tenon/neighbors/prepared_rows.hpp"

namespace tenon::neighbors {

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
      : prepared_(prepared),
        base_(base),
        queries_(queries),
        count_(count),
        k_(k),
        d_(prepared.d()),
        panels_((count + columns - 1) / columns),
        panel_size_(cpu::packed_panel_size<Isa>(d_)),
        packed_(panels_ * panel_size_),
        square_(static_cast<std::size_t>(count)),
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

  // Looks at rows first … end-1 of the base. Their tiles are visited in leaps of about 0.618 of their number,
  // so that a base sorted by distance costs no more than a shuffled one.
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
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  void look(Index begin, Index count, Index first_query, const float* tile) {
    const Index width = std::min(columns, count_ - first_query);
    for (Index r = 0; r < count; ++r) {
      for (Index j = 0; j < width; ++j) {
        if (tile[r * columns + j] > limit_[static_cast<std::size_t>(first_query + j)])
          continue;  // a NaN is looked at
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

}  // namespace tenon::neighbors
