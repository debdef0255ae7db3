// The k largest of each row.
#include <cmath>

#include "close.hpp"
#include "tenon/tensor/topk.hpp"

using namespace tenon;

TEST_CASE("topk: falling values; of equal ones the lower index first") {
  const Tensor<float> x({2, 5}, {1, 5, 3, 5, 2, 0, -1, -1, -3, 0});
  const auto top = topk(x, 3);
  CHECK(top.values.shape() == Shape{2, 3});
  CHECK(top.values.to_vector() == std::vector<float>{5, 5, 3, 0, 0, -1});
  CHECK(top.indices.to_vector() == std::vector<std::int64_t>{1, 3, 2, 0, 4, 1});
}

TEST_CASE("topk: NaN counts as largest") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const auto top = topk(Tensor<float>({5}, {1, nan, inf, nan, -inf}), 5);
  CHECK(top.indices.to_vector() == std::vector<std::int64_t>{1, 3, 2, 0, 4});
  CHECK(std::isnan(top.values.data()[0]));
}

TEST_CASE("topk: limits of k") {
  const auto x = Tensor<double>::arange(4).reshape({1, 2, 2});
  CHECK(topk(x, 0).values.numel() == 0);
  CHECK(topk(x, 2).indices.to_vector() == std::vector<std::int64_t>{1, 0, 1, 0});
  CHECK(testing::error_text<ShapeError>([&] { topk(x, 3); }) == "topk: k is 3 for shape (1,2,2)");
  CHECK(topk(Tensor<float>::zeros({3, 0}), 0).values.shape() == Shape{3, 0});
}
