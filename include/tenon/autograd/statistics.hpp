// What a convolution tells the normalisation after it.
#pragma once

#include "tenon/tensor/tensor.hpp"

namespace tenon {

// Mean and biased variance of each channel of a batch; undefined where nobody has worked them out.
template <class T, class D>
struct BatchStatistics {
  Tensor<T, D> mean{}, variance{};  // (C)
};

}  // namespace tenon
