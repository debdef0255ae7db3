// Fisher vectors (Perronnin & Dance 2007; improved: Perronnin, Sánchez & Mensink 2010): how a picture's
// descriptors would have a mixture of Gaussians change, in its means and deviations.
#pragma once

#include <cmath>
#include <span>

#include "tenon/bovw/gmm.hpp"
#include "tenon/bovw/normalize.hpp"

namespace tenon {

struct FisherOptions {
  double power = 0.5;     // sign(x)·|x|^power; 1: as it is
  bool normalize = true;  // to length 1 afterwards
};

class FisherEncoder {
 public:
  explicit FisherEncoder(Gmm gmm) : gmm_(std::move(gmm)), posterior_(gmm_) {}

  const Gmm& gmm() const { return gmm_; }
  Index width() const { return 2 * gmm_.size() * gmm_.width(); }  // of a vector

  // descriptors (n,d) -> (2·K·d), the gradients by the means, then by the deviations (eq. 17 and 18 of
  // Sánchez et al. 2013); zeros without any descriptor.
  Tensor<float> operator()(const Tensor<float>& descriptors, const FisherOptions& o = {}) const {
    const Index size = gmm_.size(), d = gmm_.width();
    require<ShapeError>(descriptors.rank() == 2 && descriptors.size(1) == d, "fisher: descriptors of shape ",
                        descriptors.shape(), ", the mixture has ", d, " dimensions");
    auto v = Tensor<float>::zeros({width()});
    if (descriptors.size(0) == 0) return v;
    const Tensor<float> squared = detail::with_squares(descriptors);
    const Tensor<float> shares = posterior_(squared);                              // (n,K)
    const Tensor<float> moments = matmul(shares, squared, {.transpose_a = true});  // (K,2d)
    std::vector<double> counts(static_cast<std::size_t>(size));
    for (Index i = 0; i < shares.numel(); ++i) counts[static_cast<std::size_t>(i % size)] += shares.data()[i];

    const auto n = static_cast<double>(descriptors.size(0));
    for (Index k = 0; k < size; ++k) {
      const double count = counts[static_cast<std::size_t>(k)];
      const double weight = std::max(static_cast<double>(gmm_.weights.data()[k]), 1e-6);
      const double by_mean = 1 / (n * std::sqrt(weight)), by_deviation = 1 / (n * std::sqrt(2 * weight));
      for (Index j = 0; j < d; ++j) {
        const double mean = gmm_.means.data()[k * d + j], variance = gmm_.variances.data()[k * d + j];
        const double first = moments.data()[2 * k * d + j], second = moments.data()[(2 * k + 1) * d + j];
        const double off = first - count * mean;  // Σ share·(x - mean)
        const double square = second - 2 * mean * first + count * mean * mean;
        v.data()[k * d + j] = static_cast<float>(by_mean * off / std::sqrt(variance));
        v.data()[(size + k) * d + j] = static_cast<float>(by_deviation * (square / variance - count));
      }
    }
    power_normalize_(v, o.power);
    if (o.normalize) l2_normalize_(v);
    return v;
  }

  // The same of the given rows alone.
  Tensor<float> operator()(const Tensor<float>& descriptors, std::span<const Index> rows,
                           const FisherOptions& o = {}) const {
    Tensor<float> part({static_cast<Index>(rows.size()), descriptors.size(1)});
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(descriptors.data() + rows[i] * descriptors.size(1), descriptors.size(1),
                  part.data() + static_cast<Index>(i) * descriptors.size(1));
    }
    return (*this)(part, o);
  }

 private:
  Gmm gmm_;
  GmmPosterior posterior_;
};

}  // namespace tenon
