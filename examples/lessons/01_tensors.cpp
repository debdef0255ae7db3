// Lesson 1. What is a tensor, and what does broadcasting do?
//
// A tensor is a block of numbers with a shape. Two shapes are matched from their last dimension, and an extent
// of 1 is repeated: so the mean of each column, of shape (1,3), can be subtracted from a matrix (4,3) directly.
#include <tenon/tenon.hpp>

#include <cstdio>

int main() {
  using namespace tenon;
  Rng rng(1);  // the same seed gives the same numbers, on every machine and for any number of threads
  const auto x = Tensor<double>::uniform({4, 3}, rng, -1, 1);
  std::printf("x is %s\n\n", to_string(x).c_str());

  const auto centred = x - mean(x, {.axes = {0}, .keepdim = true});
  std::printf("without its column means: %s\n\n", to_string(centred).c_str());

  // The proof: the columns of the result sum to zero.
  const double largest = max(abs(sum(centred, {.axes = {0}}))).item();
  std::printf("largest column sum %.1e\n", largest);
  return largest < 1e-12 ? 0 : 1;
}
