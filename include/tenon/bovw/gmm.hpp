// A mixture of Gaussians with diagonal covariances, fitted by expectation maximisation (Dempster, Laird &
// Rubin 1977) from k-means centres.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "tenon/cluster/kmeans.hpp"
#include "tenon/core/threads.hpp"
#include "tenon/tensor/matmul.hpp"

namespace tenon {

// K components over d dimensions.
struct Gmm {
  Tensor<float> weights;    // (K), they add up to 1
  Tensor<float> means;      // (K,d)
  Tensor<float> variances;  // (K,d)

  Index size() const { return means.size(0); }
  Index width() const { return means.size(1); }
};

struct GmmOptions {
  Index components = 64;
  Index iterations = 20;
  double tolerance = 1e-4;  // stops when the mean log-likelihood grows by less
  double variance_floor =
      1e-3;  // of a dimension's variance over all points: keeps components from collapsing
};

namespace detail {

// x (n,d) -> (n,2d): each row, then its squares.
inline Tensor<float> with_squares(const Tensor<float>& x) {
  const Index n = x.size(0), d = x.size(1);
  Tensor<float> y({n, 2 * d});
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < d; ++j) {
      const float v = x.data()[i * d + j];
      y.data()[2 * i * d + j] = v;
      y.data()[2 * i * d + d + j] = v * v;
    }
  }
  return y;
}

}  // namespace detail

// The probabilities of the components at many points: the logarithm of each one's share is linear in the
// point and its squares, so one matrix product does it.
class GmmPosterior {
 public:
  explicit GmmPosterior(const Gmm& g) : linear_({g.size(), 2 * g.width()}) {
    for (Index k = 0; k < g.size(); ++k) {
      double constant = std::log(std::max(static_cast<double>(g.weights.data()[k]), 1e-30));
      for (Index j = 0; j < g.width(); ++j) {
        const double mean = g.means.data()[k * g.width() + j],
                     variance = g.variances.data()[k * g.width() + j];
        linear_.data()[2 * k * g.width() + j] = static_cast<float>(mean / variance);
        linear_.data()[(2 * k + 1) * g.width() + j] = static_cast<float>(-0.5 / variance);
        constant -= 0.5 * (mean * mean / variance + std::log(2 * std::numbers::pi * variance));
      }
      constants_.push_back(static_cast<float>(constant));
    }
  }

  // squared (n,2d): the points with their squares -> (n,K), rows that add up to 1. Adds the points'
  // log-likelihoods to *log_likelihood.
  Tensor<float> operator()(const Tensor<float>& squared, double* log_likelihood = nullptr) const {
    Tensor<float> p = matmul(squared, linear_, {.transpose_b = true});
    const Index n = p.size(0), size = p.size(1);
    double total = 0;
    for (Index i = 0; i < n; ++i) {
      float* row = p.data() + i * size;
      for (Index k = 0; k < size; ++k) row[k] += constants_[static_cast<std::size_t>(k)];
      const float highest = *std::max_element(row, row + size);
      float sum = 0;
      for (Index k = 0; k < size; ++k) sum += row[k] = std::exp(row[k] - highest);
      for (Index k = 0; k < size; ++k) row[k] /= sum;
      total += static_cast<double>(highest) + std::log(static_cast<double>(sum));
    }
    if (log_likelihood) *log_likelihood += total;
    return p;
  }

 private:
  Tensor<float> linear_;  // (K,2d)
  std::vector<float> constants_;
};

namespace detail {

struct GmmSums {
  std::vector<double> counts, moments;  // (K), (K,2d): sums of x and x² under the posterior
  double log_likelihood = 0;
};

// The statistics of all points, in pieces that are the same for any number of threads.
inline GmmSums gmm_sums(const Gmm& g, const Tensor<float>& x) {
  constexpr Index piece = 4096;
  const GmmPosterior posterior(g);
  const Index n = x.size(0), pieces = (n + piece - 1) / piece;
  GmmSums sums{std::vector<double>(static_cast<std::size_t>(g.size())),
               std::vector<double>(static_cast<std::size_t>(2 * g.size() * g.width())), 0};
  for (Index p = 0; p < pieces; ++p) {
    const Tensor<float> squared = with_squares(x.rows(p * piece, std::min(n, (p + 1) * piece)));
    const Tensor<float> shares = posterior(squared, &sums.log_likelihood);
    const Tensor<float> moments = matmul(shares, squared, {.transpose_a = true});
    for (std::size_t i = 0; i < sums.moments.size(); ++i) sums.moments[i] += moments.data()[i];
    for (Index i = 0; i < shares.numel(); ++i)
      sums.counts[static_cast<std::size_t>(i % g.size())] += shares.data()[i];
  }
  return sums;
}

}  // namespace detail

// x (n,d), n at least the number of components; ValueError otherwise.
inline Gmm fit_gmm(const Tensor<float>& x, const GmmOptions& o, Rng& rng) {
  require<ShapeError>(x.rank() == 2 && x.numel() > 0, "fit_gmm: shape ", x.shape(),
                      ", expected (n,d) with points");
  require<ValueError>(o.components >= 1 && o.components <= x.size(0), "fit_gmm: ", o.components,
                      " components for ", x.size(0), " points");
  const Index n = x.size(0), d = x.size(1), size = o.components;
  const auto total = static_cast<double>(n);

  // Over all points, for the floor and for the first step.
  std::vector<double> mean(static_cast<std::size_t>(d)), variance(static_cast<std::size_t>(d));
  for (Index i = 0; i < x.numel(); ++i) mean[static_cast<std::size_t>(i % d)] += x.data()[i] / total;
  for (Index i = 0; i < x.numel(); ++i) {
    const double off = x.data()[i] - mean[static_cast<std::size_t>(i % d)];
    variance[static_cast<std::size_t>(i % d)] += off * off / total;
  }
  const auto floored = [&](Index j, double v) {
    return static_cast<float>(
        std::max(v, std::max(o.variance_floor * variance[static_cast<std::size_t>(j)], 1e-12)));
  };

  Gmm g{Tensor<float>::full({size}, 1 / static_cast<float>(size)),
        kmeans(x, {.k = size, .max_iterations = 15}, rng).centers, Tensor<float>({size, d})};
  for (Index i = 0; i < size * d; ++i) {  // somewhat less than the whole spread
    g.variances.data()[i] = floored(i % d, variance[static_cast<std::size_t>(i % d)] / 2);
  }

  double last = 0;
  for (Index step = 0; step < o.iterations; ++step) {
    const detail::GmmSums sums = detail::gmm_sums(g, x);
    for (Index k = 0; k < size; ++k) {
      const double count = sums.counts[static_cast<std::size_t>(k)];
      g.weights.data()[k] = static_cast<float>(count / total);
      if (count < 1e-3) continue;  // it keeps its place
      for (Index j = 0; j < d; ++j) {
        const double first = sums.moments[static_cast<std::size_t>(2 * k * d + j)] / count;
        const double second = sums.moments[static_cast<std::size_t>((2 * k + 1) * d + j)] / count;
        g.means.data()[k * d + j] = static_cast<float>(first);
        g.variances.data()[k * d + j] = floored(j, second - first * first);
      }
    }
    const double now = sums.log_likelihood / total;
    if (step > 0 && now - last < o.tolerance) break;
    last = now;
  }
  return g;
}

}  // namespace tenon
