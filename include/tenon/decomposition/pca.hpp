// Principal components (Pearson 1901; Jolliffe 2002): the orthogonal directions along which the samples vary
// most.
#pragma once

#include <cmath>
#include <vector>

#include "tenon/tensor/linalg.hpp"
#include "tenon/tensor/matmul.hpp"
#include "tenon/tensor/samples.hpp"

namespace tenon {

struct PcaOptions {
  Index components = 0;  // 0: min(n,d)
  bool whiten =
      false;  // transform() divides by the standard deviations, so that every coordinate has variance 1
};

class Pca {
 public:
  // x (n,d), n >= 2, finite; components at most min(n,d). Sums and eigenvectors are in double; the d×d
  // covariance is decomposed where d <= n, the n×n matrix of products otherwise, and nothing of x's size is
  // stored.
  explicit Pca(const Tensor<float>& x, const PcaOptions& options = {}) : whiten_(options.whiten) {
    require_samples(x, "Pca", "x");
    const Index n = x.size(0), d = x.size(1), most = std::min(n, d);
    require<ValueError>(n >= 2, "Pca: x is ", x.shape(), ", expected at least 2 rows");
    require<ValueError>(options.components >= 0 && options.components <= most, "Pca: components is ",
                        options.components, ", expected 1 to ", most, " for x ", x.shape());
    require_finite(x, "Pca", "x");
    count_ = options.components == 0 ? most : options.components;
    find_mean(x);
    if (d <= n)
      from_covariance(x);
    else
      from_products(x);
    fix_signs();
  }

  const Tensor<float>& mean() const { return mean_; }  // (d)
  const Tensor<float>& components() const {
    return components_;
  }                                                               // (k,d), rows of length 1, falling variance
  const Tensor<float>& variance() const { return variance_; }     // (k), unbiased: divided by n - 1
  const Tensor<float>& variance_ratio() const { return ratio_; }  // (k), parts of the whole variance

  // x (m,d) -> coordinates (m,k). Directions without variance give 0 when whitening.
  Tensor<float> transform(const Tensor<float>& x) const {
    require_samples(x, "Pca::transform", "x");
    const Index d = mean_.numel();
    require<ShapeError>(x.size(1) == d, "Pca::transform: x is ", x.shape(), ", expected (n,", d, ")");
    Tensor<float> centred(x.shape());
    for (Index i = 0; i < x.numel(); ++i) {
      centred.data()[i] =
          static_cast<float>(static_cast<double>(x.data()[i]) - exact_mean_[static_cast<std::size_t>(i % d)]);
    }
    Tensor<float> out = matmul(centred, components_, {.transpose_b = true});
    if (whiten_) scale_columns(out, true);
    return out;
  }

  // Coordinates (m,k) -> (m,d): the nearest x that has these coordinates.
  Tensor<float> inverse_transform(const Tensor<float>& coordinates) const {
    require_samples(coordinates, "Pca::inverse_transform", "coordinates");
    require<ShapeError>(coordinates.size(1) == count_, "Pca::inverse_transform: coordinates is ",
                        coordinates.shape(), ", expected (n,", count_, ")");
    Tensor<float> scaled = coordinates.clone();
    if (whiten_) scale_columns(scaled, false);
    Tensor<float> out = matmul(scaled, components_);
    const Index d = mean_.numel();
    for (Index i = 0; i < out.numel(); ++i) {
      out.data()[i] = static_cast<float>(static_cast<double>(out.data()[i]) +
                                         exact_mean_[static_cast<std::size_t>(i % d)]);
    }
    return out;
  }

 private:
  static constexpr Index block = 1024;  // rows or columns made double at a time

  void find_mean(const Tensor<float>& x) {
    const Index n = x.size(0), d = x.size(1);
    exact_mean_.assign(static_cast<std::size_t>(d), 0.0);
    for (Index i = 0; i < n; ++i) {
      for (Index p = 0; p < d; ++p)
        exact_mean_[static_cast<std::size_t>(p)] += static_cast<double>(x.data()[i * d + p]);
    }
    mean_ = Tensor<float>({d});
    for (Index p = 0; p < d; ++p) {
      exact_mean_[static_cast<std::size_t>(p)] /= static_cast<double>(n);
      mean_.data()[p] = static_cast<float>(exact_mean_[static_cast<std::size_t>(p)]);
    }
  }

  // Rows i0 … i1-1, columns p0 … p1-1 of x, centred, in double.
  Tensor<double> centred(const Tensor<float>& x, Index i0, Index i1, Index p0, Index p1) const {
    Tensor<double> out({i1 - i0, p1 - p0});
    parallel_ranges(i1 - i0, 64, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        for (Index p = p0; p < p1; ++p) {
          out.data()[i * (p1 - p0) + p - p0] = static_cast<double>(x.data()[(i0 + i) * x.size(1) + p]) -
                                               exact_mean_[static_cast<std::size_t>(p)];
        }
      }
    });
    return out;
  }

  static void add_product(const Tensor<double>& b, bool transpose_first, bool add, Tensor<double>& sum) {
    GemmGeometry g;
    g.m = g.n = sum.size(0);
    g.k = b.numel() / sum.size(0);
    g.transpose_a = transpose_first;
    g.transpose_b = !transpose_first;
    g.beta = add ? 1 : 0;
    Backend<Cpu>::gemm(g, b.data(), b.data(), sum.data());
  }

  void from_covariance(const Tensor<float>& x) {
    const Index n = x.size(0), d = x.size(1);
    Tensor<double> sum({d, d});
    for (Index i = 0; i < n; i += block)
      add_product(centred(x, i, std::min(n, i + block), 0, d), true, i > 0, sum);
    const linalg::Eigh eigen = linalg::eigh(sum);
    keep_variances(eigen.values, n);
    components_ = Tensor<float>({count_, d});
    for (Index c = 0; c < count_; ++c) {
      for (Index p = 0; p < d; ++p) {
        components_.data()[c * d + p] = static_cast<float>(eigen.vectors.data()[p * d + d - 1 - c]);
      }
    }
  }

  // With X the centred samples and X·Xᵀ u = λ u, the component is Xᵀ u / √λ. Where λ vanishes (at least one
  // does: n centred samples span n - 1 dimensions) the component is left zero.
  void from_products(const Tensor<float>& x) {
    const Index n = x.size(0), d = x.size(1);
    Tensor<double> sum({n, n});
    for (Index p = 0; p < d; p += block)
      add_product(centred(x, 0, n, p, std::min(d, p + block)), false, p > 0, sum);
    const linalg::Eigh eigen = linalg::eigh(sum);
    keep_variances(eigen.values, n);
    Tensor<double> u({count_, n});
    for (Index c = 0; c < count_; ++c) {
      const double value = eigen.values.data()[n - 1 - c];
      const double factor = vanishes(value) ? 0 : 1 / std::sqrt(value);
      for (Index i = 0; i < n; ++i) u.data()[c * n + i] = eigen.vectors.data()[i * n + n - 1 - c] * factor;
    }
    components_ = Tensor<float>({count_, d});
    for (Index p0 = 0; p0 < d; p0 += block) {
      const Index p1 = std::min(d, p0 + block);
      const Tensor<double> part = matmul(u, centred(x, 0, n, p0, p1));
      for (Index c = 0; c < count_; ++c) {
        for (Index p = p0; p < p1; ++p) {
          components_.data()[c * d + p] = static_cast<float>(part.data()[c * (p1 - p0) + p - p0]);
        }
      }
    }
  }

  bool vanishes(double value) const { return !(value > largest_ * 1e-12); }

  // `values` rise; their sum is the whole variance times n - 1.
  void keep_variances(const Tensor<double>& values, Index n) {
    const Index size = values.numel();
    double total = 0;
    for (const double v : values.span()) total += std::max(v, 0.0);
    largest_ = values.data()[size - 1];
    variance_ = Tensor<float>({count_});
    ratio_ = Tensor<float>({count_});
    for (Index c = 0; c < count_; ++c) {
      const double value = values.data()[size - 1 - c], kept = vanishes(value) ? 0 : value;
      deviation_.push_back(std::sqrt(kept / static_cast<double>(n - 1)));
      variance_.data()[c] = static_cast<float>(kept / static_cast<double>(n - 1));
      ratio_.data()[c] = static_cast<float>(total > 0 ? kept / total : 0);
    }
  }

  // An eigenvector's sign is arbitrary; here its largest coordinate is positive.
  void fix_signs() {
    const Index d = mean_.numel();
    for (Index c = 0; c < count_; ++c) {
      float* row = components_.data() + c * d;
      const float* top =
          std::max_element(row, row + d, [](float a, float b) { return std::abs(a) < std::abs(b); });
      if (*top >= 0) continue;
      for (Index p = 0; p < d; ++p) row[p] = -row[p];
    }
  }

  void scale_columns(Tensor<float>& x, bool divide) const {
    for (Index i = 0; i < x.numel(); ++i) {
      const double deviation = deviation_[static_cast<std::size_t>(i % count_)];
      const double factor = divide ? (deviation > 0 ? 1 / deviation : 0) : deviation;
      x.data()[i] = static_cast<float>(static_cast<double>(x.data()[i]) * factor);
    }
  }

  bool whiten_;
  Index count_ = 0;
  double largest_ = 0;
  Tensor<float> mean_, components_, variance_, ratio_;
  std::vector<double> exact_mean_, deviation_;
};

}  // namespace tenon
