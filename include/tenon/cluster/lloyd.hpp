// Lloyd's iteration (Lloyd 1982): every point to its nearest centre, every centre to the mean of its points; and
// Hamerly's bounds (Hamerly 2010, "Making k-means even faster"), which spare a point the search while the centres
// have moved too little to change its answer.
//
// The bounds keep a margin for the rounding of the search, so that a point is spared only where the search would
// return the centre it has: both variants give the same bits.
#pragma once

#include <atomic>
#include <numeric>

#include "tenon/cluster/nearest_center.hpp"

namespace tenon::cluster {

// Σ (x - c)² over d terms, summed in double.
inline double squared_distance(const float* x, const float* c, Index d) {
  double sum[8] = {};
  Index p = 0;
  for (; p + 8 <= d; p += 8) {
    for (Index j = 0; j < 8; ++j) {
      const double difference = static_cast<double>(x[p + j]) - static_cast<double>(c[p + j]);
      sum[j] += difference * difference;
    }
  }
  for (; p < d; ++p) {
    const double difference = static_cast<double>(x[p]) - static_cast<double>(c[p]);
    sum[0] += difference * difference;
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// sum (d) += x (d)
template <class Isa>
struct AddRow {
  Index d;
  const float* __restrict x;
  double* __restrict sum;

  [[gnu::always_inline]] void operator()() const {
    for (Index p = 0; p < d; ++p) sum[p] += static_cast<double>(x[p]);
  }
};

// Labels, centres and bounds while they are being improved; coordinates are the moved ones of Points.
template <class Isa>
class Lloyd {
 public:
  // centers (k,d)
  Lloyd(const Panels<Isa>& panels, const Tensor<float>& centers, bool bounds)
      : panels_(panels), points_(panels.points()), k_(centers.size(0)), d_(centers.size(1)), bounded_(bounds),
        centers_(centers), labels_(Tensor<std::int32_t>::full({points_.n()}, -1)),
        moved_(static_cast<std::size_t>(k_)) {
    if (bounded_) {
      upper_.assign(static_cast<std::size_t>(points_.n()), std::numeric_limits<double>::infinity());
      lower_.assign(static_cast<std::size_t>(points_.n()), 0.0);
    }
  }

  const Tensor<float>& centers() const { return centers_; }
  const Tensor<std::int32_t>& labels() const { return labels_; }

  // Every point to its nearest centre, the lowest of equally near ones; returns how many changed.
  Index assign() {
    const Centers<Isa> centers(centers_.data(), k_, d_);
    std::atomic<Index> changed = 0;
    if (!bounded_) {
      for_each_nearest<Isa>(panels_, centers, [&](Index panel, const Nearest<Isa>& nearest) {
        Index count = 0;
        for (Index j = 0; j < panels_.width(panel); ++j) {
          count += relabel(panel * columns + j, nearest.label[j]);
        }
        changed += count;
      });
      return changed;
    }
    const Index blocks = (panels_.count() + block - 1) / block;
    parallel_for(blocks, [&](Index b) { changed += assign_block(b, centers); });
    return changed;
  }

  // Every centre to the mean of its points; returns the sum of squared movements. A centre without points takes
  // the point that is farthest from its own centre (of equally far ones the first) and leaves its cluster at
  // least one point; where no point is away from its centre, the centre stays where it is.
  double update() {
    fill_empty();
    count_members();
    parallel_ranges(k_, 4, [&](Index begin, Index end) {
      std::vector<double> sum(static_cast<std::size_t>(d_));
      std::vector<float> mean(static_cast<std::size_t>(d_));
      for (Index c = begin; c < end; ++c) {
        const Index first = start_[static_cast<std::size_t>(c)], last = start_[static_cast<std::size_t>(c + 1)];
        double& moved = moved_[static_cast<std::size_t>(c)];
        moved = 0;
        if (first == last) continue;
        std::fill(sum.begin(), sum.end(), 0.0);
        for (Index m = first; m < last; ++m) {
          if (m + ahead < points_.n()) prefetch(points_.original(members_[static_cast<std::size_t>(m + ahead)]));
          const float* x = points_.original(members_[static_cast<std::size_t>(m)]);
          cpu::CompiledFor<Isa>::run(AddRow<Isa>{d_, x, sum.data()});
        }
        for (Index p = 0; p < d_; ++p) {
          const double average = sum[static_cast<std::size_t>(p)] / static_cast<double>(last - first);
          mean[static_cast<std::size_t>(p)] = static_cast<float>((average - points_.shift(p)) * points_.scale());
        }
        float* center = centers_.data() + c * d_;
        moved = std::sqrt(squared_distance(center, mean.data(), d_));
        std::copy_n(mean.data(), d_, center);
      }
    });
    double total = 0;
    for (const double m : moved_) total += m * m;
    return total;
  }

 private:
  static constexpr Index columns = Panels<Isa>::columns, block = 32;  // panels a bounded search works on together
  static constexpr Index ahead = 16;  // rows fetched before their turn

  Index relabel(Index i, std::int32_t label) {
    std::int32_t& own = labels_.data()[i];
    if (own == label) return 0;
    own = label;
    return 1;
  }

  void prefetch(const float* row) const {
    for (Index p = 0; p < std::min<Index>(d_, 256); p += 16) __builtin_prefetch(row + p);
  }

  // True if no rounding could make the search prefer another centre: the scores differ by (lower² - upper²)/2, and
  // each is computed within score_error.
  bool spared(Index i, double upper, double lower, double longest) const {
    return lower > upper && (lower - upper) * (lower + upper) > 4 * score_error(d_, points_.length(i), longest);
  }

  void take(Index i, const Nearest<Isa>& nearest, Index j, double longest) {
    const double length = points_.length(i), error = score_error(d_, length, longest);
    const auto best = static_cast<double>(nearest.best[j]), second = static_cast<double>(nearest.second[j]);
    upper_[static_cast<std::size_t>(i)] = std::sqrt(std::max(0.0, 2 * (best + error) + length * length));
    lower_[static_cast<std::size_t>(i)] = std::sqrt(std::max(0.0, 2 * (second - error) + length * length));
  }

  Index assign_block(Index b, const Centers<Isa>& centers) {
    const Index first = b * block * columns, end = std::min(points_.n(), first + block * columns);
    // The largest movement of a centre other than the point's own.
    double largest = 0, next = 0;
    Index mover = -1;
    for (Index c = 0; c < k_; ++c) {
      const double m = moved_[static_cast<std::size_t>(c)];
      if (m > largest) {
        next = largest;
        largest = m;
        mover = c;
      } else {
        next = std::max(next, m);
      }
    }
    constexpr double wider = 1 + 1e-9;  // for the rounding of the movements themselves
    std::vector<Index> open;
    std::vector<float> row(static_cast<std::size_t>(d_));
    for (Index i = first; i < end; ++i) {
      const Index own = labels_.data()[i];
      double& upper = upper_[static_cast<std::size_t>(i)];
      double& lower = lower_[static_cast<std::size_t>(i)];
      if (own >= 0) {
        upper += moved_[static_cast<std::size_t>(own)] * wider;
        lower -= (own == mover ? next : largest) * wider;
        if (spared(i, upper, lower, centers.longest())) continue;
        if (lower > 0 && upper < std::numeric_limits<double>::infinity()) {  // perhaps with the distance as it is now
          points_.row(i, row.data());
          upper = std::sqrt(squared_distance(row.data(), centers_.data() + own * d_, d_)) +
                  0x1p-23 * points_.length(i);
          if (spared(i, upper, lower, centers.longest())) continue;
        }
      }
      open.push_back(i);
    }
    if (open.empty()) return 0;

    Index changed = 0;
    Nearest<Isa> nearest;
    if (static_cast<Index>(open.size()) * 4 > (end - first) * 3) {  // most of them: the panels as they are
      cpu::Scratch<float> room(panels_.room());
      for (Index panel = b * block; panel < std::min(panels_.count(), (b + 1) * block); ++panel) {
        find_nearest<Isa>(panels_.get(panel, room.data()), centers, nearest);
        for (Index j = 0; j < panels_.width(panel); ++j) {
          changed += relabel(panel * columns + j, nearest.label[j]);
          take(panel * columns + j, nearest, j, centers.longest());
        }
      }
      return changed;
    }
    cpu::Scratch<float> panel(panels_.size());
    const std::span<const Index> all(open);
    for (std::size_t at = 0; at < open.size(); at += columns) {
      const auto rows = all.subspan(at, std::min<std::size_t>(columns, open.size() - at));
      points_.template pack<Isa>(rows, row.data(), panel.data());
      find_nearest<Isa>(panel.data(), centers, nearest);
      for (std::size_t j = 0; j < rows.size(); ++j) {
        changed += relabel(rows[j], nearest.label[j]);
        take(rows[j], nearest, static_cast<Index>(j), centers.longest());
      }
    }
    return changed;
  }

  void fill_empty() {
    std::vector<Index> count(static_cast<std::size_t>(k_));
    for (const std::int32_t l : labels_.span()) ++count[static_cast<std::size_t>(l)];
    if (std::find(count.begin(), count.end(), 0) == count.end()) return;
    const Index n = points_.n();
    std::vector<double> distance(static_cast<std::size_t>(n));
    parallel_ranges(n, 1024, [&](Index begin, Index end) {
      std::vector<float> row(static_cast<std::size_t>(d_));
      for (Index i = begin; i < end; ++i) {
        points_.row(i, row.data());
        distance[static_cast<std::size_t>(i)] = squared_distance(row.data(), centers_.data() + labels_.data()[i] * d_, d_);
      }
    });
    std::vector<Index> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(), [&](Index a, Index b) {
      const double da = distance[static_cast<std::size_t>(a)], db = distance[static_cast<std::size_t>(b)];
      return da != db ? da > db : a < b;
    });
    auto next = order.begin();
    for (Index c = 0; c < k_; ++c) {
      if (count[static_cast<std::size_t>(c)] > 0) continue;
      while (next != order.end() && count[static_cast<std::size_t>(labels_.data()[*next])] < 2) ++next;
      if (next == order.end() || !(distance[static_cast<std::size_t>(*next)] > 0)) return;
      const Index i = *next++;
      --count[static_cast<std::size_t>(labels_.data()[i])];
      ++count[static_cast<std::size_t>(c)];
      labels_.data()[i] = static_cast<std::int32_t>(c);
      if (bounded_) {  // nothing is known of it now
        upper_[static_cast<std::size_t>(i)] = std::numeric_limits<double>::infinity();
        lower_[static_cast<std::size_t>(i)] = 0;
      }
    }
  }

  // members_: the points ordered by cluster and index; cluster c's from start_[c].
  void count_members() {
    start_.assign(static_cast<std::size_t>(k_ + 1), 0);
    for (const std::int32_t l : labels_.span()) ++start_[static_cast<std::size_t>(l) + 1];
    for (Index c = 0; c < k_; ++c) start_[static_cast<std::size_t>(c + 1)] += start_[static_cast<std::size_t>(c)];
    members_.resize(static_cast<std::size_t>(points_.n()));
    std::vector<Index> at(start_.begin(), start_.end() - 1);
    for (Index i = 0; i < points_.n(); ++i) {
      members_[static_cast<std::size_t>(at[static_cast<std::size_t>(labels_.data()[i])]++)] = i;
    }
  }

  const Panels<Isa>& panels_;
  const Points& points_;
  Index k_, d_;
  bool bounded_;
  Tensor<float> centers_;
  Tensor<std::int32_t> labels_;
  std::vector<double> moved_;          // how far each centre went in the last update
  std::vector<double> upper_, lower_;  // distance of a point to its own centre at most, to any other at least
  std::vector<Index> start_, members_;
};

}  // namespace tenon::cluster
