// Checks of what the methods of classical learning are given: a matrix with one sample a row, all numbers
// finite.
#pragma once

#include <cmath>

#include "tenon/core/threads.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

// x must be (n,d) with d >= 1; an error names `who` (the function) and `what` (its argument).
inline void require_samples(const Tensor<float>& x, const char* who, const char* what) {
  require<ShapeError>(x.rank() == 2 && x.size(1) >= 1, who, ": ", what, " is ", x.shape(),
                      ", expected (n,d): one sample a row");
}

// Every element must be finite; the error says where the first that is not stands.
inline void require_finite(const Tensor<float>& x, const char* who, const char* what) {
  const Index d = x.size(1), grain = std::max<Index>(1, 65536 / d);
  parallel_ranges(x.size(0), grain, [&](Index begin, Index end) {
    const float* at = x.data() + begin * d;
    float poisoned = 0;  // a value that is not finite times zero is NaN, and so is the sum
    for (Index i = 0; i < (end - begin) * d; ++i) poisoned += at[i] * 0.0f;
    if (poisoned == 0) return;
    for (Index i = 0; i < (end - begin) * d; ++i) {
      require<ValueError>(std::isfinite(at[i]), who, ": ", what, " has ", at[i], " in row ", begin + i / d,
                          ", column ", i % d, ", expected finite numbers");
    }
  });
}

}  // namespace tenon
