// Comparing tensors.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "errors.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::testing {

// The largest difference relative to the largest magnitude of the reference; infinite where either is not a
// number or the shapes differ.
template <class T>
double error_of(const Tensor<T>& found, const Tensor<T>& expected) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (found.shape() != expected.shape()) return infinity;
  double worst = 0, size = 0;
  for (Index i = 0; i < found.numel(); ++i) {
    const auto a = static_cast<double>(found.data()[i]), b = static_cast<double>(expected.data()[i]);
    const double difference = std::abs(a - b);
    if (!(difference <= std::numeric_limits<double>::max())) return infinity;
    worst = std::max(worst, difference);
    size = std::max(size, std::abs(b));
  }
  return size > 0 ? worst / size : worst;
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && (a.numel() == 0 || std::equal(a.data(), a.data() + a.numel(), b.data()));
}

}  // namespace tenon::testing
