// Hamerly's bounds (Hamerly 2010, "Making k-means even faster"): for each point, how far its own centre is at
// most and how far any other is at least. While the centres have moved too little to let the two meet, the
// point need not be searched for again.
//
// A margin is kept for the rounding of the search, so that a point is spared only where the search would
// return the centre it has: k-means with bounds and without gives the same bits.
#pragma once

#include "tenon/cluster/nearest_center.hpp"

namespace tenon::cluster {

// How far each centre went in the last update, and the two that went farthest.
class Movements {
 public:
  explicit Movements(const std::vector<double>& moved) : moved_(moved) {
    for (std::size_t c = 0; c < moved.size(); ++c) {
      if (moved[c] > largest_) {
        next_ = largest_;
        largest_ = moved[c];
        mover_ = static_cast<Index>(c);
      } else {
        next_ = std::max(next_, moved[c]);
      }
    }
  }

  // A little more than was computed, for the rounding of the movements themselves.
  double of(Index center) const { return moved_[static_cast<std::size_t>(center)] * (1 + 1e-9); }
  double of_others(Index center) const { return (center == mover_ ? next_ : largest_) * (1 + 1e-9); }

 private:
  const std::vector<double>& moved_;
  double largest_ = 0, next_ = 0;
  Index mover_ = -1;
};

class Bounds {
 public:
  explicit Bounds(const Points& points)
      : points_(points),
        upper_(static_cast<std::size_t>(points.n()), std::numeric_limits<double>::infinity()),
        lower_(static_cast<std::size_t>(points.n())) {}

  // Nothing is known of point i any more.
  void forget(Index i) {
    upper(i) = std::numeric_limits<double>::infinity();
    lower(i) = 0;
  }

  void follow(Index i, Index own, const Movements& movements) {
    upper(i) += movements.of(own);
    lower(i) -= movements.of_others(own);
  }

  // True if no rounding could make the search prefer another centre: the scores differ by (lower² -
  // upper²)/2, and each is computed within score_error. `longest` is the length of the longest centre.
  bool spared(Index i, double longest) const {
    const double u = upper_[static_cast<std::size_t>(i)], l = lower_[static_cast<std::size_t>(i)];
    return l > u && (l - u) * (l + u) > 4 * score_error(points_.d(), points_.length(i), longest);
  }

  // Whether measuring the distance to the own centre could help.
  bool open(Index i) const {
    return lower_[static_cast<std::size_t>(i)] > 0 &&
           upper_[static_cast<std::size_t>(i)] < std::numeric_limits<double>::infinity();
  }

  // The distance of point i, rounded to float, from its own centre.
  void tighten(Index i, double distance) { upper(i) = distance + 0x1p-23 * points_.length(i); }

  // What a search found for point i, column j of its panel.
  template <class Isa>
  void take(Index i, const Nearest<Isa>& nearest, Index j, double longest) {
    const double length = points_.length(i), error = score_error(points_.d(), length, longest);
    const auto best = static_cast<double>(nearest.best[j]), second = static_cast<double>(nearest.second[j]);
    upper(i) = std::sqrt(std::max(0.0, 2 * (best + error) + length * length));
    lower(i) = std::sqrt(std::max(0.0, 2 * (second - error) + length * length));
  }

 private:
  double& upper(Index i) { return upper_[static_cast<std::size_t>(i)]; }
  double& lower(Index i) { return lower_[static_cast<std::size_t>(i)]; }

  const Points& points_;
  std::vector<double> upper_, lower_;
};

}  // namespace tenon::cluster
