// The L2-regularised linear SVM of two classes by coordinate descent on its dual (Hsieh, Chang, Lin, Keerthi
// & Sundararajan 2008, "A dual coordinate descent method for large-scale linear SVM"):
//
//   min over w of ½|w|² + C Σ loss(1 - y_i w·x_i),  loss(t) = max(0,t) or max(0,t)²
//   dual: min over α of ½ αᵀ(Q + D)α - Σα_i, 0 <= α_i <= U, Q_ij = y_i y_j x_i·x_j; w = Σ α_i y_i x_i
//   with U = C, D = 0 for the first loss and U = ∞, D = 1/(2C) for the second.
//
// The samples come through a `Samples` that knows w·x_i and can add to w; two such are below.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tenon/core/random.hpp"
#include "tenon/tensor/matmul.hpp"

namespace tenon::svm {

struct DualProblem {
  double upper = 1;     // U
  double diagonal = 0;  // D
  double tolerance = 1e-2;
  Index max_iterations = 1000;
};

// Minimises over α; y (n) are +1 and -1. Returns the passes made, or -1 if max_iterations did not suffice.
// Samples whose α is at a bound and whose gradient says that it stays there are left out of passes
// (shrinking, ibid. §3.2) until the others have converged.
template <class Samples>
Index dual_descent(Samples& samples, const std::vector<double>& y, const DualProblem& problem, Rng& rng,
                   std::vector<double>& alpha) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::size_t n = y.size();
  alpha.assign(n, 0.0);
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  std::size_t active = n;
  double shrink_above = infinity, shrink_below = -infinity;
  for (Index pass = 1; pass <= problem.max_iterations; ++pass) {
    double top = -infinity, bottom = infinity;
    for (std::size_t i = active; i > 1; --i) {
      std::swap(order[i - 1], order[static_cast<std::size_t>(rng.below(static_cast<Index>(i)))]);
    }
    for (std::size_t s = 0; s < active;) {
      const std::size_t i = order[s];
      const double gradient = y[i] * samples.product(i) - 1 + problem.diagonal * alpha[i];
      double projected = gradient;
      if (alpha[i] <= 0) {
        if (gradient > shrink_above) {
          std::swap(order[s], order[--active]);
          continue;
        }
        projected = std::min(gradient, 0.0);
      } else if (alpha[i] >= problem.upper) {
        if (gradient < shrink_below) {
          std::swap(order[s], order[--active]);
          continue;
        }
        projected = std::max(gradient, 0.0);
      }
      top = std::max(top, projected);
      bottom = std::min(bottom, projected);
      if (std::abs(projected) > 1e-12) {
        const double curvature = samples.square(i) + problem.diagonal;
        // A sample that is all zeros has only the linear term: its α goes to the bound.
        const double wanted = curvature > 0 ? alpha[i] - gradient / curvature : problem.upper;
        const double now = std::min(std::max(wanted, 0.0), problem.upper);
        if (now != alpha[i]) samples.add(i, (now - alpha[i]) * y[i]);
        alpha[i] = now;
      }
      ++s;
    }
    if (top - bottom <= problem.tolerance) {
      if (active == n) return pass;
      active = n;
      shrink_above = infinity;
      shrink_below = -infinity;
      continue;
    }
    shrink_above = top > 0 ? top : infinity;
    shrink_below = bottom < 0 ? bottom : -infinity;
  }
  return -1;
}

// Keeps w itself: a step costs O(d). For many samples of few dimensions.
class WeightSamples {
 public:
  // x (n,d); `bias` is one more coordinate of every sample.
  WeightSamples(const Tensor<float>& x, double bias, const std::vector<double>& squares)
      : x_(x), bias_(bias), squares_(squares), w_(static_cast<std::size_t>(x.size(1))) {}

  double square(std::size_t i) const { return squares_[i]; }

  double product(std::size_t i) const {
    const float* x = row(i);
    const double* w = w_.data();
    const Index d = x_.size(1);
    double sum[8] = {};
    Index p = 0;
    for (; p + 8 <= d; p += 8) {
      for (Index j = 0; j < 8; ++j) sum[j] += w[p + j] * static_cast<double>(x[p + j]);
    }
    for (; p < d; ++p) sum[0] += w[p] * static_cast<double>(x[p]);
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])) +
           w_bias_ * bias_;
  }

  void add(std::size_t i, double amount) {
    const float* x = row(i);
    for (Index p = 0; p < x_.size(1); ++p)
      w_[static_cast<std::size_t>(p)] += amount * static_cast<double>(x[p]);
    w_bias_ += amount * bias_;
  }

 private:
  const float* row(std::size_t i) const { return x_.data() + static_cast<Index>(i) * x_.size(1); }

  const Tensor<float>& x_;
  double bias_;
  const std::vector<double>& squares_;
  std::vector<double> w_;
  double w_bias_ = 0;
};

// Keeps w·x_i for all i, from the products of all pairs of samples: a step costs O(n), and nothing where α_i
// does not move. For few samples of many dimensions; the products serve all classes.
class ProductSamples {
 public:
  // products (n,n): x_i·x_j including the bias.
  explicit ProductSamples(const Tensor<float>& products)
      : products_(products), sums_(static_cast<std::size_t>(products.size(0))) {}

  double square(std::size_t i) const { return static_cast<double>(row(i)[i]); }
  double product(std::size_t i) const { return sums_[i]; }

  void add(std::size_t i, double amount) {
    const float* products = row(i);
    for (std::size_t j = 0; j < sums_.size(); ++j) sums_[j] += amount * static_cast<double>(products[j]);
  }

 private:
  const float* row(std::size_t i) const {
    return products_.data() + static_cast<Index>(i) * products_.size(0);
  }

  const Tensor<float>& products_;
  std::vector<double> sums_;
};

}  // namespace tenon::svm
