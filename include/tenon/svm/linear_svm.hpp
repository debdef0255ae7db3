// Linear support vector machine for any number of classes, one against the rest.
//
//   const LinearSvm svm(histograms, labels, {.c = 10});
//   auto found = svm.predict(others);
#pragma once

#include <algorithm>

#include "tenon/svm/dual_descent.hpp"
#include "tenon/tensor/samples.hpp"

namespace tenon {

enum class SvmLoss { hinge, squared_hinge };  // max(0, t) and max(0, t)², also called L1 and L2 loss

struct LinearSvmOptions {
  double c = 1;  // weight of the losses against ½|w|²
  SvmLoss loss = SvmLoss::squared_hinge;
  double bias = 1;              // value of the coordinate added to every sample; 0 for no bias
  double tolerance = 1e-2;      // stop when the projected gradients lie within this
  Index max_iterations = 1000;  // passes over the samples, a class
  std::uint64_t seed = 0;       // of the order in which samples are visited
};

class LinearSvm {
 public:
  // x (n,d), finite; labels (n): any integers, at least two different ones. Trains at once, classes in
  // parallel; the result does not depend on the number of threads.
  LinearSvm(const Tensor<float>& x, const Tensor<std::int32_t>& labels, const LinearSvmOptions& options = {})
      : options_(options) {
    check(x, labels);
    classes_ = labels.to_vector();
    std::sort(classes_.begin(), classes_.end());
    classes_.erase(std::unique(classes_.begin(), classes_.end()), classes_.end());
    require<ValueError>(classes_.size() >= 2, "LinearSvm: all labels are ", classes_[0],
                        ", expected at least 2 classes");
    const auto count = static_cast<Index>(classes_.size());
    weights_ = Tensor<float>({count, x.size(1)});
    bias_ = Tensor<float>({count});
    iterations_.resize(classes_.size());
    train(x, labels);
  }

  const std::vector<std::int32_t>& classes() const { return classes_; }  // the different labels, rising
  const Tensor<float>& weights() const { return weights_; }              // (classes,d)
  const Tensor<float>& bias() const { return bias_; }                    // (classes)

  // Passes made for each class; -1 where max_iterations did not suffice.
  const std::vector<Index>& iterations() const { return iterations_; }

  // x (m,d) -> (m,classes), columns as in classes(): positive where a sample is on that class's side.
  Tensor<float> decision_values(const Tensor<float>& x) const {
    require_samples(x, "LinearSvm", "x");
    require<ShapeError>(x.size(1) == weights_.size(1), "LinearSvm: x is ", x.shape(), ", expected (n,",
                        weights_.size(1), ") as in training");
    Tensor<float> out = matmul(x, weights_, {.transpose_b = true});
    const Index count = bias_.numel();
    for (Index i = 0; i < out.numel(); ++i) out.data()[i] += bias_.data()[i % count];
    return out;
  }

  // x (m,d) -> (m): the class of the largest decision value, of equal ones the lower label.
  Tensor<std::int32_t> predict(const Tensor<float>& x) const {
    require_samples(x, "LinearSvm", "x");
    require_finite(x, "LinearSvm", "x");
    const Tensor<float> values = decision_values(x);
    const Index count = bias_.numel();
    Tensor<std::int32_t> out({x.size(0)});
    for (Index i = 0; i < x.size(0); ++i) {
      const float* row = values.data() + i * count;
      out.data()[i] = classes_[static_cast<std::size_t>(std::max_element(row, row + count) - row)];
    }
    return out;
  }

 private:
  static constexpr Index most_products = Index{1} << 26;  // elements: 256 MB

  void check(const Tensor<float>& x, const Tensor<std::int32_t>& labels) const {
    require_samples(x, "LinearSvm", "x");
    require<ShapeError>(labels.shape() == Shape{x.size(0)}, "LinearSvm: labels is ", labels.shape(),
                        ", expected (", x.size(0), ") as x is ", x.shape());
    require<ValueError>(x.size(0) >= 2, "LinearSvm: x is ", x.shape(), ", expected at least 2 rows");
    require<ValueError>(options_.c > 0 && std::isfinite(options_.c), "LinearSvm: c is ", options_.c,
                        ", expected a positive number");
    require<ValueError>(
        options_.tolerance > 0 && options_.max_iterations >= 1 && std::isfinite(options_.bias),
        "LinearSvm: tolerance is ", options_.tolerance, ", max_iterations ", options_.max_iterations,
        " and bias ", options_.bias, ", expected a positive tolerance, at least one pass, a finite bias");
    require_finite(x, "LinearSvm", "x");
  }

  void train(const Tensor<float>& x, const Tensor<std::int32_t>& labels) {
    const Index n = x.size(0), d = x.size(1), count = bias_.numel();
    // With two classes, one machine separates both.
    const Index machines = count == 2 ? 1 : count;
    const bool by_products = n < 2 * d && n <= most_products / n;
    Tensor<float> products;
    std::vector<double> squares;
    if (by_products) {
      products = matmul(x, x, {.transpose_b = true});
      for (float& v : products.span()) v += static_cast<float>(options_.bias * options_.bias);
    } else {
      for (Index i = 0; i < n; ++i) {
        double sum = options_.bias * options_.bias;
        for (Index p = 0; p < d; ++p) {
          const auto v = static_cast<double>(x.data()[i * d + p]);
          sum += v * v;
        }
        squares.push_back(sum);
      }
    }
    const Rng rng(options_.seed);
    parallel_for(machines, [&](Index machine) {
      const Index own = count == 2 ? 1 : machine;
      std::vector<double> y, alpha;
      for (const std::int32_t l : labels.span())
        y.push_back(l == classes_[static_cast<std::size_t>(own)] ? 1.0 : -1.0);
      Rng order = rng.fork(static_cast<std::uint64_t>(machine));
      Index passes = 0;
      if (by_products) {
        svm::ProductSamples samples(products);
        passes = svm::dual_descent(samples, y, problem(), order, alpha);
      } else {
        svm::WeightSamples samples(x, options_.bias, squares);
        passes = svm::dual_descent(samples, y, problem(), order, alpha);
      }
      iterations_[static_cast<std::size_t>(own)] = passes;
      keep_weights(x, y, alpha, own);
    });
    if (count == 2) {
      for (Index p = 0; p < d; ++p) weights_.data()[p] = -weights_.data()[d + p];
      bias_.data()[0] = -bias_.data()[1];
      iterations_[0] = iterations_[1];
    }
  }

  svm::DualProblem problem() const {
    const bool squared = options_.loss == SvmLoss::squared_hinge;
    return {.upper = squared ? std::numeric_limits<double>::infinity() : options_.c,
            .diagonal = squared ? 1 / (2 * options_.c) : 0,
            .tolerance = options_.tolerance,
            .max_iterations = options_.max_iterations};
  }

  // w = Σ α_i y_i x_i
  void keep_weights(const Tensor<float>& x, const std::vector<double>& y, const std::vector<double>& alpha,
                    Index own) {
    const Index d = x.size(1);
    std::vector<double> w(static_cast<std::size_t>(d));
    double b = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double factor = alpha[i] * y[i];
      if (factor == 0) continue;
      const float* row = x.data() + static_cast<Index>(i) * d;
      for (Index p = 0; p < d; ++p) w[static_cast<std::size_t>(p)] += factor * static_cast<double>(row[p]);
      b += factor * options_.bias;
    }
    for (Index p = 0; p < d; ++p)
      weights_.data()[own * d + p] = static_cast<float>(w[static_cast<std::size_t>(p)]);
    bias_.data()[own] = static_cast<float>(b * options_.bias);
  }

  LinearSvmOptions options_;
  std::vector<std::int32_t> classes_;
  Tensor<float> weights_, bias_;
  std::vector<Index> iterations_;
};

}  // namespace tenon
