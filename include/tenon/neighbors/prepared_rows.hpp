// The rows to be searched, in the form in which float scores order them well, and the bound on what those
// scores may be wrong by. With q a query and b a row, both so prepared:
//
//   l2, hellinger  score |b|²/2 - q·b,  after moving the mean to the origin (of the square roots, for
//   hellinger) cosine         score -q·b,          after scaling every row to length 1 l1, chi2       score
//   is the distance itself
// All coordinates are scaled by a power of two so that the largest is near 1.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "tenon/backend/cpu/score_tiles.hpp"
#include "tenon/neighbors/metric.hpp"
#include "tenon/tensor/samples.hpp"

namespace tenon::neighbors {

// Rounds to float; beyond its range, to infinity.
inline float narrow(double v) {
  constexpr auto top = static_cast<double>(std::numeric_limits<float>::max());
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return v > top ? infinity : v < -top ? -infinity : static_cast<float>(v);
}

class PreparedRows {
 public:
  // base (n,d), n >= 1, finite and, where the metric asks for it, not negative.
  PreparedRows(const Tensor<float>& base, Metric metric)
      : metric_(metric),
        n_(base.size(0)),
        d_(base.size(1)),
        rows_(base.shape()),
        bias_(static_cast<std::size_t>(n_)),
        shift_(static_cast<std::size_t>(d_)) {
    if (centred()) find_shift(base);
    const Index pieces = fixed_pieces(n_, 256);
    std::vector<double> largest(static_cast<std::size_t>(pieces));
    const auto each_piece = [&](const auto& body) {
      parallel_for(pieces, [&](Index piece) {
        for (Index i = piece * n_ / pieces; i < (piece + 1) * n_ / pieces; ++i) body(piece, i);
      });
    };
    if (metric_ != Metric::cosine) {
      each_piece([&](Index piece, Index i) {
        double& top = largest[static_cast<std::size_t>(piece)];
        for (Index p = 0; p < d_; ++p) top = std::max(top, std::abs(moved(base.data()[i * d_ + p], p)));
      });
      const double top = *std::max_element(largest.begin(), largest.end());
      scale_ = top > 0 ? std::exp2(-std::ilogb(top)) : 1;
      std::fill(largest.begin(), largest.end(), 0.0);
    }
    each_piece([&](Index piece, Index i) {
      float* row = rows_.data() + i * d_;
      const double square = prepare(base.data() + i * d_, row);
      bias_[static_cast<std::size_t>(i)] = centred() ? static_cast<float>(square / 2) : 0.0f;
      double& top = largest[static_cast<std::size_t>(piece)];
      top = std::max(top, square);
    });
    longest_ = std::sqrt(*std::max_element(largest.begin(), largest.end()));
  }

  Metric metric() const { return metric_; }
  Index n() const { return n_; }
  Index d() const { return d_; }
  const float* row(Index i) const { return rows_.data() + i * d_; }
  const float* bias() const { return bias_.data(); }
  bool product() const { return metric_ != Metric::l1 && metric_ != Metric::chi2; }

  // Writes `in` (d) in prepared form and returns its squared length.
  double prepare(const float* in, float* out) const {
    double square = 0;
    if (metric_ == Metric::cosine) {
      for (Index p = 0; p < d_; ++p) square += static_cast<double>(in[p]) * static_cast<double>(in[p]);
      const double factor = square > 0 ? 1 / std::sqrt(square) : 0;
      for (Index p = 0; p < d_; ++p) out[p] = static_cast<float>(static_cast<double>(in[p]) * factor);
      return 1;
    }
    for (Index p = 0; p < d_; ++p) {
      const double v = moved(in[p], p) * scale_;
      out[p] = narrow(v);
      square += v * v;
    }
    return square;
  }

  // The largest score that a row of rank distance `rank` or less may have been given, for a query whose
  // squared length is `square`: rows with larger scores need not be looked at. For products the error is
  // bounded as in Higham 2002, §3.1: with lengths a and b, rounding of the operands, a sum of d products in
  // any order and the difference stay below (d + 4)·2^-24·(a + b)². The sums of l1 and chi2 have no negative
  // terms, so their error is relative: (d + 5)·2^-24. Twice these bounds are allowed for, and what terms
  // below 2^-60 may lose by underflow.
  float score_limit(double rank, double square) const {
    const double error = static_cast<double>(d_ + 8) * 0x1p-23, underflow = static_cast<double>(d_) * 0x1p-60;
    double limit = 0;
    if (metric_ == Metric::cosine) {
      limit = rank - 1 + 4 * error;
    } else if (product()) {
      const double lengths = std::sqrt(square) + longest_;
      limit = (rank * scale_ * scale_ - square) / 2 + error * lengths * lengths;
    } else {
      limit = rank * scale_ * (1 + error);
    }
    limit += underflow;
    if (!(limit <= static_cast<double>(std::numeric_limits<float>::max())))
      return std::numeric_limits<float>::infinity();
    return std::nextafter(narrow(limit), std::numeric_limits<float>::infinity());
  }

 private:
  bool centred() const { return metric_ == Metric::l2 || metric_ == Metric::hellinger; }

  double moved(float v, Index p) const {
    const double value =
        metric_ == Metric::hellinger ? std::sqrt(static_cast<double>(v)) : static_cast<double>(v);
    return value - static_cast<double>(shift_[static_cast<std::size_t>(p)]);
  }

  void find_shift(const Tensor<float>& base) {
    const Index pieces = fixed_pieces(n_, 256);
    std::vector<double> sums(static_cast<std::size_t>(pieces * d_));
    parallel_for(pieces, [&](Index piece) {
      for (Index i = piece * n_ / pieces; i < (piece + 1) * n_ / pieces; ++i) {
        for (Index p = 0; p < d_; ++p)
          sums[static_cast<std::size_t>(piece * d_ + p)] += moved(base.data()[i * d_ + p], p);
      }
    });
    std::vector<double> mean(static_cast<std::size_t>(d_));
    for (Index piece = 0; piece < pieces; ++piece) {
      for (Index p = 0; p < d_; ++p)
        mean[static_cast<std::size_t>(p)] += sums[static_cast<std::size_t>(piece * d_ + p)];
    }
    for (Index p = 0; p < d_; ++p) {
      shift_[static_cast<std::size_t>(p)] =
          static_cast<float>(mean[static_cast<std::size_t>(p)] / static_cast<double>(n_));
    }
  }

  Metric metric_;
  Index n_, d_;
  Tensor<float> rows_;
  std::vector<float> bias_;
  std::vector<float> shift_;
  double scale_ = 1, longest_ = 0;
};

}  // namespace tenon::neighbors
