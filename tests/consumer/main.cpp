// A program of somebody else, in two translation units that both include the whole library: links only if no
// function is defined twice, and works only if both see the same types.
#include <cstdio>
#include <tenon/tenon.hpp>

tenon::Tensor<float, tenon::Cpu> counting(tenon::Index count);  // in other.cpp

int main() {
  const auto x = counting(4);
  const bool same = x.shape() == tenon::Shape{4} && x.data()[3] == 3.0f;
  // Not compiled for this processor, whose instruction set is found when the program runs.
  const auto product = tenon::matmul(tenon::Tensor<float>::full({50, 4}, 2), tenon::Tensor<float>::full({4, 70}, 3));
  const bool right = product.at({49, 69}) == 24;
  std::printf("%s\n", !same ? "the two translation units disagree" : right ? "ok" : "the product is wrong");
  return same && right ? 0 : 1;
}
