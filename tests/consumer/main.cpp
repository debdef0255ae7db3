// A program of somebody else, in two translation units that both include the whole library: links only if no
// function is defined twice, and works only if both see the same types.
#include <cstdio>
#include <tenon/tenon.hpp>

tenon::Tensor<float, tenon::Cpu> counting(tenon::Index count);  // in other.cpp

int main() {
  const auto x = counting(4);
  const bool same = x.shape() == tenon::Shape{4} && x.data()[3] == 3.0f;
  std::printf("%s\n", same ? "ok" : "the two translation units disagree");
  return same ? 0 : 1;
}
