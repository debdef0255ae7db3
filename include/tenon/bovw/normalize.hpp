// Normalising encoded pictures, row by row and in place: what makes counts comparable between pictures.
#pragma once

#include <cmath>

#include "tenon/core/threads.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

namespace detail {

// x (d) is one row, x (n,d) are n.
template <class Body>
void for_each_row(Tensor<float>& x, const char* who, Body&& body) {
  require<ShapeError>(x.rank() == 1 || x.rank() == 2, who, ": shape ", x.shape(), ", expected (d) or (n,d)");
  const Index width = x.size(-1), rows = x.rank() == 1 ? 1 : x.size(0);
  float* data = x.data();
  parallel_ranges(rows, std::max<Index>(1, 100000 / (width + 1)), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) body(data + r * width, width);
  });
}

inline void scale_row(float* row, Index width, double norm) {
  if (!(norm > 0)) return;
  const auto factor = static_cast<float>(1 / norm);
  for (Index i = 0; i < width; ++i) row[i] *= factor;
}

inline double l1_norm(const float* row, Index width) {
  double sum = 0;
  for (Index i = 0; i < width; ++i) sum += std::abs(static_cast<double>(row[i]));
  return sum;
}
inline double l2_norm(const float* row, Index width) {
  double sum = 0;
  for (Index i = 0; i < width; ++i) sum += static_cast<double>(row[i]) * row[i];
  return std::sqrt(sum);
}

}  // namespace detail

// To magnitudes that add up to 1; a row of zeros stays.
inline void l1_normalize_(Tensor<float>& x) {
  detail::for_each_row(x, "l1_normalize_", [](float* row, Index width) {
    detail::scale_row(row, width, detail::l1_norm(row, width));
  });
}

// To length 1; a row of zeros stays.
inline void l2_normalize_(Tensor<float>& x) {
  detail::for_each_row(x, "l2_normalize_", [](float* row, Index width) {
    detail::scale_row(row, width, detail::l2_norm(row, width));
  });
}

// sign(x)·|x|^power: evens out words that come in bursts (Perronnin, Sánchez & Mensink 2010, §3.2). On
// histograms of sum 1 and with power 1/2 it is the Hellinger map: their L2 distance is then Hellinger's.
inline void power_normalize_(Tensor<float>& x, double power = 0.5) {
  require<ValueError>(power > 0 && power <= 1, "power_normalize_: power is ", power,
                      ", expected 0 < power ≤ 1");
  if (power == 1) return;
  detail::for_each_row(x, "power_normalize_", [power](float* row, Index width) {
    for (Index i = 0; i < width; ++i) {
      const float v = std::abs(row[i]);
      row[i] = std::copysign(power == 0.5 ? std::sqrt(v) : std::pow(v, static_cast<float>(power)), row[i]);
    }
  });
}

}  // namespace tenon
