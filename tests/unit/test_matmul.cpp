// Matrix products of tensors: PyTorch's rules for batches and vectors.
#include "close.hpp"
#include "tenon/tensor/matmul.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

namespace {

Tensor<double> plain(const Tensor<double>& a, const Tensor<double>& b) {  // (m,k)·(k,n)
  auto y = Tensor<double>::zeros({a.size(0), b.size(1)});
  for (Index i = 0; i < a.size(0); ++i) {
    for (Index j = 0; j < b.size(1); ++j) {
      for (Index p = 0; p < a.size(1); ++p) y.at({i, j}) += a.at({i, p}) * b.at({p, j});
    }
  }
  return y;
}

}  // namespace

TEST_CASE("matmul: matrices, transposes and vectors") {
  Rng rng(1);
  const auto a = Tensor<double>::uniform({17, 9}, rng, -1, 1),
             b = Tensor<double>::uniform({9, 23}, rng, -1, 1);
  const auto v = Tensor<double>::uniform({9}, rng);
  CHECK(error_of(matmul(a, b), plain(a, b)) < 1e-14);
  CHECK(error_of(matmul(transpose(a), b, {.transpose_a = true}), plain(a, b)) < 1e-14);
  CHECK(error_of(matmul(a, transpose(b), {.transpose_b = true}), plain(a, b)) < 1e-14);
  CHECK(error_of(matmul(transpose(a), transpose(b), {.transpose_a = true, .transpose_b = true}),
                 plain(a, b)) < 1e-14);
  CHECK(error_of(matmul(a, v), plain(a, v.reshape({9, 1})).reshape({17})) < 1e-14);
  CHECK(error_of(matmul(v, b), plain(v.reshape({1, 9}), b).reshape({23})) < 1e-14);
  CHECK(error_of(matmul(v, v), plain(v.reshape({1, 9}), v.reshape({9, 1})).reshape({})) < 1e-14);
}

TEST_CASE("matmul: batches broadcast") {
  Rng rng(2);
  const auto a = Tensor<double>::uniform({2, 1, 3, 5}, rng), b = Tensor<double>::uniform({4, 5, 2}, rng);
  const auto y = matmul(a, b);
  REQUIRE(y.shape() == Shape{2, 4, 3, 2});
  for (Index i = 0; i < 2; ++i) {
    for (Index j = 0; j < 4; ++j) CHECK(error_of(y[i][j], plain(a[i][0], b[j])) < 1e-14);
  }
  const auto one = matmul(a[0][0], b);
  for (Index j = 0; j < 4; ++j) CHECK(error_of(one[j], plain(a[0][0], b[j])) < 1e-14);
  const auto vector = Tensor<double>::uniform({5}, rng);
  CHECK(matmul(a, vector).shape() == Shape{2, 1, 3});
  CHECK(matmul(vector, b).shape() == Shape{4, 2});
}

TEST_CASE("matmul: empty extents") {
  CHECK(matmul(Tensor<float>::ones({2, 0}), Tensor<float>::ones({0, 3})).to_vector() ==
        std::vector<float>(6, 0));
  CHECK(matmul(Tensor<float>::ones({0, 4}), Tensor<float>::ones({4, 3})).shape() == Shape{0, 3});
  CHECK(matmul(Tensor<float>::ones({0, 2, 4}), Tensor<float>::ones({4, 3})).shape() == Shape{0, 2, 3});
}

TEST_CASE("matmul: the errors name both shapes") {
  const auto a = Tensor<float>::zeros({2, 3}), b = Tensor<float>::zeros({4, 5});
  CHECK(error_text<ShapeError>([&] { matmul(a, b); }) ==
        "matmul: a (2,3) and b (4,5): inner extents 3 and 4");
  CHECK(error_text<ShapeError>([&] { matmul(a, b, {.transpose_b = true}); }) ==
        "matmul: a (2,3) and b (4,5) transposed: inner extents 3 and 5");
  CHECK(error_text<ShapeError>([&] { matmul(a, Tensor<float>::scalar(1)); }) ==
        "matmul: shapes (2,3) and (), expected at least 1 dimension each");
  CHECK(testing::contains(error_text<ShapeError>([] {
                            matmul(Tensor<float>::zeros({2, 3, 4}), Tensor<float>::zeros({5, 4, 3}));
                          }),
                          "matmul: shapes (2) and (5) do not broadcast"));
}
