// Lloyd's iteration (Lloyd 1982): every point to its nearest centre, every centre to the mean of its points.
#pragma once

#include <atomic>
#include <numeric>
#include <optional>

#include "tenon/cluster/bounds.hpp"

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
  Lloyd(const Panels<Isa>& panels, const Tensor<float>& centers, bool bounded)
      : panels_(panels),
        points_(panels.points()),
        k_(centers.size(0)),
        d_(centers.size(1)),
        centers_(centers),
        labels_(Tensor<std::int32_t>::full({points_.n()}, -1)),
        moved_(static_cast<std::size_t>(k_)) {
    if (!bounded) return;
    bounds_.emplace(points_);
    rest_.resize(static_cast<std::size_t>((panels_.count() + block - 1) / block));
  }

  const Tensor<float>& centers() const { return centers_; }
  const Tensor<std::int32_t>& labels() const { return labels_; }

  // Every point to its nearest centre, the lowest of equally near ones; returns how many changed.
  Index assign() {
    const Centers<Isa> centers(centers_.data(), k_, d_);
    std::atomic<Index> changed = 0;
    if (!bounds_) {
      for_each_nearest<Isa>(panels_, centers, [&](Index panel, const Nearest<Isa>& nearest) {
        Index count = 0;
        for (Index j = 0; j < panels_.width(panel); ++j) {
          count += relabel(panel * columns + j, nearest.label[j]);
        }
        changed += count;
      });
      return changed;
    }
    const Movements movements(moved_);
    const Index blocks = (panels_.count() + block - 1) / block;
    parallel_for(blocks, [&](Index b) { changed += assign_block(b, centers, movements); });
    return changed;
  }

  // Every centre to the mean of its points; returns the sum of squared movements. A centre without points
  // takes the point that is farthest from its own centre (of equally far ones the first) and leaves its
  // cluster at least one point; where no point is away from its centre, the centre stays where it is.
  double update() {
    fill_empty();
    count_members();
    parallel_ranges(k_, 4, [&](Index begin, Index end) {
      std::vector<double> sum(static_cast<std::size_t>(d_));
      std::vector<float> mean(static_cast<std::size_t>(d_));
      for (Index c = begin; c < end; ++c) {
        const Index first = start_[static_cast<std::size_t>(c)],
                    last = start_[static_cast<std::size_t>(c + 1)];
        double& moved = moved_[static_cast<std::size_t>(c)];
        moved = 0;
        if (first == last) continue;
        std::fill(sum.begin(), sum.end(), 0.0);
        for (Index m = first; m < last; ++m) {
          if (m + ahead < points_.n()) {
            prefetch(points_.original(members_[static_cast<std::size_t>(m + ahead)]));
          }
          const float* x = points_.original(members_[static_cast<std::size_t>(m)]);
          cpu::CompiledFor<Isa>::run(AddRow<Isa>{d_, x, sum.data()});
        }
        for (Index p = 0; p < d_; ++p) {
          const double average = sum[static_cast<std::size_t>(p)] / static_cast<double>(last - first);
          mean[static_cast<std::size_t>(p)] =
              static_cast<float>((average - points_.shift(p)) * points_.scale());
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
  static constexpr Index columns = Panels<Isa>::columns;
  static constexpr Index block = 32;  // panels a bounded search works on together
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

  // The panels of a block, but for the points that their bounds spare.
  Index assign_block(Index b, const Centers<Isa>& centers, const Movements& movements) {
    const Index first = b * block * columns, end = std::min(points_.n(), first + block * columns);
    // Measuring distances to tighten bounds pays only where it spares points; where it did not, it rests a
    // while.
    int& rest = rest_[static_cast<std::size_t>(b)];
    const bool measure = rest == 0;
    Index measured = 0, helped = 0;
    std::vector<Index> open;
    std::vector<float> row(static_cast<std::size_t>(d_));
    for (Index i = first; i < end; ++i) {
      const Index own = labels_.data()[i];
      if (own >= 0) {
        bounds_->follow(i, own, movements);
        if (bounds_->spared(i, centers.longest())) continue;
        if (measure && bounds_->open(i)) {
          ++measured;
          points_.row(i, row.data());
          bounds_->tighten(i, std::sqrt(squared_distance(row.data(), centers_.data() + own * d_, d_)));
          if (bounds_->spared(i, centers.longest())) {
            ++helped;
            continue;
          }
        }
      }
      open.push_back(i);
    }
    rest = measure ? (helped * 8 < measured ? 4 : 0) : rest - 1;
    if (open.empty()) return 0;

    Index changed = 0;
    Nearest<Isa> nearest;
    if (static_cast<Index>(open.size()) * 4 > (end - first) * 3) {  // most of them: the panels as they are
      cpu::Scratch<float> room(panels_.room());
      for (Index panel = b * block; panel < std::min(panels_.count(), (b + 1) * block); ++panel) {
        find_nearest<Isa>(panels_.get(panel, room.data()), centers, nearest);
        for (Index j = 0; j < panels_.width(panel); ++j) {
          changed += relabel(panel * columns + j, nearest.label[j]);
          bounds_->take(panel * columns + j, nearest, j, centers.longest());
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
        bounds_->take(rows[j], nearest, static_cast<Index>(j), centers.longest());
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
        distance[static_cast<std::size_t>(i)] =
            squared_distance(row.data(), centers_.data() + labels_.data()[i] * d_, d_);
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
      if (bounds_) bounds_->forget(i);
    }
  }

  // members_: the points ordered by cluster and index; cluster c's from start_[c].
  void count_members() {
    start_.assign(static_cast<std::size_t>(k_ + 1), 0);
    for (const std::int32_t l : labels_.span()) ++start_[static_cast<std::size_t>(l) + 1];
    for (Index c = 0; c < k_; ++c)
      start_[static_cast<std::size_t>(c + 1)] += start_[static_cast<std::size_t>(c)];
    members_.resize(static_cast<std::size_t>(points_.n()));
    std::vector<Index> at(start_.begin(), start_.end() - 1);
    for (Index i = 0; i < points_.n(); ++i) {
      members_[static_cast<std::size_t>(at[static_cast<std::size_t>(labels_.data()[i])]++)] = i;
    }
  }

  const Panels<Isa>& panels_;
  const Points& points_;
  Index k_, d_;
  Tensor<float> centers_;
  Tensor<std::int32_t> labels_;
  std::vector<double> moved_;  // how far each centre went in the last update
  std::optional<Bounds> bounds_;
  std::vector<int> rest_;  // rounds in which a block does not measure distances
  std::vector<Index> start_, members_;
};

}  // namespace tenon::cluster
