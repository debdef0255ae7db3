// Distances between two vectors, as plain loops in double: what every faster path must agree with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"

namespace tenon {

enum class Metric {
  l2,         // sqrt(Σ (a-b)²)
  l1,         // Σ |a-b|
  cosine,     // 1 - a·b / (|a||b|); 1 if either is zero
  chi2,       // Σ (a-b)² / (a+b), terms with a+b = 0 left out; a, b >= 0
  hellinger,  // sqrt(½ Σ (√a - √b)²): 0 to 1 for histograms that sum to 1; a, b >= 0
};

inline const char* metric_name(Metric metric) {
  switch (metric) {
    case Metric::l2:
      return "l2";
    case Metric::l1:
      return "l1";
    case Metric::cosine:
      return "cosine";
    case Metric::chi2:
      return "chi2";
    case Metric::hellinger:
      return "hellinger";
  }
  fail<ValueError>("metric: value ", static_cast<int>(metric), " is none of l2, l1, cosine, chi2, hellinger");
}

namespace neighbors {

// A number that orders pairs as the distance does and is cheaper: its square, for l2 and hellinger.
inline double rank_distance(Metric metric, const float* a, const float* b, Index d) {
  double sum = 0;
  switch (metric) {
    case Metric::l2:
      for (Index p = 0; p < d; ++p) {
        const double difference = static_cast<double>(a[p]) - static_cast<double>(b[p]);
        sum += difference * difference;
      }
      return sum;
    case Metric::l1:
      for (Index p = 0; p < d; ++p) sum += std::abs(static_cast<double>(a[p]) - static_cast<double>(b[p]));
      return sum;
    case Metric::cosine: {
      double aa = 0, bb = 0;
      for (Index p = 0; p < d; ++p) {
        const auto va = static_cast<double>(a[p]), vb = static_cast<double>(b[p]);
        sum += va * vb;
        aa += va * va;
        bb += vb * vb;
      }
      // Rounding makes it a little less than 0 where b is a multiple of a.
      return aa > 0 && bb > 0 ? std::max(0.0, 1 - sum / (std::sqrt(aa) * std::sqrt(bb))) : 1;
    }
    case Metric::chi2:
      for (Index p = 0; p < d; ++p) {
        const auto va = static_cast<double>(a[p]), vb = static_cast<double>(b[p]);
        if (va + vb > 0) sum += (va - vb) * (va - vb) / (va + vb);
      }
      return sum;
    case Metric::hellinger:
      for (Index p = 0; p < d; ++p) {
        const double difference = std::sqrt(static_cast<double>(a[p])) - std::sqrt(static_cast<double>(b[p]));
        sum += difference * difference;
      }
      return sum;
  }
  fail<ValueError>("metric: value ", static_cast<int>(metric), " is none of l2, l1, cosine, chi2, hellinger");
}

// The distance that a rank_distance stands for.
inline double from_rank(Metric metric, double rank) {
  if (metric == Metric::l2) return std::sqrt(rank);
  if (metric == Metric::hellinger) return std::sqrt(rank / 2);
  return rank;
}

}  // namespace neighbors

// The distance of a (d) and b (d).
inline double distance(Metric metric, const float* a, const float* b, Index d) {
  return neighbors::from_rank(metric, neighbors::rank_distance(metric, a, b, d));
}

}  // namespace tenon
