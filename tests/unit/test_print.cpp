// Tensors as text.
#include <limits>

#include "close.hpp"
#include "tenon/tensor/print.hpp"

using namespace tenon;

TEST_CASE("to_string: aligned numbers in nested brackets") {
  CHECK(to_string(Tensor<float>({2, 2}, {1, 0.5, -2, 10})) ==
        "Tensor<float, cpu> (2,2)\n"
        "[[ 1.0000   0.5000]\n"
        " [-2.0000  10.0000]]");
  CHECK(to_string(Tensor<std::int64_t>({2, 1, 2}, {1, -20, 300, 4})) ==
        "Tensor<int64, cpu> (2,1,2)\n"
        "[[[  1  -20]]\n"
        "\n"
        " [[300    4]]]");
  CHECK(to_string(Tensor<double>::scalar(0.25), {.decimals = 2}) == "Tensor<double, cpu> ()\n0.25");
  CHECK(to_string(Tensor<std::uint8_t>({2}, {7, 255})) == "Tensor<uint8, cpu> (2)\n[  7  255]");
}

TEST_CASE("to_string: long dimensions are cut") {
  CHECK(to_string(Tensor<std::int32_t>::arange(100)) ==
        "Tensor<int32, cpu> (100)\n[ 0   1   2  ...  97  98  99]");
  CHECK(to_string(Tensor<std::int32_t>::arange(7)) == "Tensor<int32, cpu> (7)\n[0  1  2  3  4  5  6]");
  CHECK(to_string(Tensor<std::int32_t>::arange(5), {.edge = 1}) == "Tensor<int32, cpu> (5)\n[0  ...  4]");
}

TEST_CASE("to_string: what is empty, tiny, huge or not a number") {
  CHECK(to_string(Tensor<float>::zeros({0, 3})) == "Tensor<float, cpu> (0,3)\n[]");
  CHECK(to_string(Tensor<float>()) == "Tensor<float, cpu> (0)\n[]");
  const double inf = std::numeric_limits<double>::infinity();
  const auto text =
      to_string(Tensor<double>({4}, {inf, -inf, std::numeric_limits<double>::quiet_NaN(), 1e-7}));
  CHECK(text == "Tensor<double, cpu> (4)\n[       inf        -inf         nan  1.0000e-07]");
  CHECK(testing::contains(to_string(Tensor<double>::scalar(2.5e8)), "2.5000e+08"));
  CHECK(testing::contains(to_string(Tensor<half>::full({1}, half(0.5f))), "Tensor<half, cpu> (1)\n[0.5000]"));
}
