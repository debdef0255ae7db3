// Permuting, slicing, joining and padding against plain loops.
#include <numeric>

#include "close.hpp"
#include "tenon/tensor/layout.hpp"

using namespace tenon;
using testing::error_text;

namespace {

// Position `flat` of a shape, one number a dimension.
std::vector<Index> unravel(const Shape& shape, Index flat) {
  std::vector<Index> at(static_cast<std::size_t>(shape.rank()));
  for (int d = shape.rank() - 1; d >= 0; --d) {
    at[static_cast<std::size_t>(d)] = flat % shape[d];
    flat /= shape[d];
  }
  return at;
}

Index ravel(const Shape& shape, const std::vector<Index>& at) {
  Index flat = 0;
  for (int d = 0; d < shape.rank(); ++d) flat = flat * shape[d] + at[static_cast<std::size_t>(d)];
  return flat;
}

Shape random_shape(Rng& rng, int rank) {
  Shape s;
  for (int d = 0; d < rank; ++d) s.push_back(1 + rng.below(5));
  return s;
}

}  // namespace

TEST_CASE("permute: random orders of up to five dimensions") {
  Rng rng(1);
  for (int round = 0; round < 60; ++round) {
    const auto rank = static_cast<int>(rng.below(6));
    const Shape shape = random_shape(rng, rank);
    const auto value = Tensor<double>::uniform(shape, rng);
    std::vector<int> axes;
    for (const Index a : rng.permutation(rank)) axes.push_back(static_cast<int>(a));
    const auto y = permute(value, axes);
    for (Index i = 0; i < y.numel(); ++i) {
      const auto to = unravel(y.shape(), i);
      std::vector<Index> from(to.size());
      for (std::size_t d = 0; d < to.size(); ++d) from[static_cast<std::size_t>(axes[d])] = to[d];
      REQUIRE(y.data()[i] == value.data()[ravel(shape, from)]);
    }
  }
  const Tensor<int> matrix({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(transpose(matrix).to_vector() == std::vector<int>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("slice, pad and concat: random cuts put together again") {
  Rng rng(2);
  for (int round = 0; round < 60; ++round) {
    const auto rank = 1 + static_cast<int>(rng.below(4));
    const auto x = Tensor<double>::uniform(random_shape(rng, rank), rng);
    const auto axis = static_cast<int>(rng.below(rank));
    const Index extent = x.size(axis), cut = rng.below(extent + 1);
    const auto low = slice(x, axis, {0, cut}), high = slice(x, axis - rank, {cut});
    CHECK(low.size(axis) == cut);
    CHECK(testing::same_bits(concat(std::vector{low, high}, axis), x));
    std::vector<Padding> padding(static_cast<std::size_t>(rank));
    for (auto& p : padding) p = {rng.below(3), rng.below(3)};
    const auto padded = pad(x, padding, -7);
    auto inner = padded;
    for (int d = 0; d < rank; ++d) {
      const Index begin = padding[static_cast<std::size_t>(d)].before;
      inner = slice(inner, d, {begin, begin + x.size(d)});
    }
    CHECK(testing::same_bits(inner, x));
    CHECK(std::count(padded.data(), padded.data() + padded.numel(), -7.0) == padded.numel() - x.numel());
  }
}

TEST_CASE("slice: negative positions count from the end") {
  const auto x = Tensor<int>::arange(6);
  CHECK(slice(x, 0, {-2}).to_vector() == std::vector<int>{4, 5});
  CHECK(slice(x, 0, {1, -3}).to_vector() == std::vector<int>{1, 2});
  CHECK(slice(x, 0, {2, 2}).numel() == 0);
  CHECK(slice(x, 0, {4, 100}).to_vector() == std::vector<int>{4, 5});
}

TEST_CASE("stack and broadcast_to") {
  const Tensor<int> a({2}, {1, 2}), b({2}, {3, 4});
  const auto s = stack(std::vector{a, b, a});
  CHECK(s.shape() == Shape{3, 2});
  CHECK(s.to_vector() == std::vector<int>{1, 2, 3, 4, 1, 2});
  CHECK(broadcast_to(a, {3, 2}).to_vector() == std::vector<int>{1, 2, 1, 2, 1, 2});
  CHECK(broadcast_to(a.reshape({2, 1}), {2, 3}).to_vector() == std::vector<int>{1, 1, 1, 2, 2, 2});
  CHECK(broadcast_to(Tensor<int>::scalar(7), {2, 2}).to_vector() == std::vector<int>{7, 7, 7, 7});
}

TEST_CASE("layout: the errors name what was given") {
  const auto x = Tensor<float>::zeros({2, 3});
  CHECK(error_text<ShapeError>([&] { permute(x, {0}); }) == "permute: 1 axes for shape (2,3)");
  CHECK(error_text<ShapeError>([&] { permute(x, {1, -1}); }) == "permute: axis -1 is given twice");
  CHECK(error_text<ShapeError>([&] { transpose(x[0]); }) ==
        "transpose: shape (3) has fewer than 2 dimensions");
  CHECK(error_text<ShapeError>([&] { slice(x, 1, {2, 1}); }) == "slice: 2 to 1 along axis 1 of shape (2,3)");
  CHECK(error_text<ShapeError>([&] { slice(x, 2, {0, 1}); }) == "slice: axis 2 is out of range for rank 2");
  CHECK(error_text<ShapeError>([&] {
          concat(std::vector{x, Tensor<float>::zeros({3, 3})}, 1);
        }) == "concat along axis 1: shapes (2,3) and (3,3)");
  CHECK(error_text<ShapeError>([] { concat(std::vector<Tensor<float>>{}); }) == "concat: no tensors");
  CHECK(error_text<ShapeError>([&] { pad(x, {{0, 1}}); }) == "pad: 1 paddings for shape (2,3)");
  CHECK(error_text<ShapeError>([&] {
          pad(x, {{0, 1}, {-1, 0}});
        }) == "pad: negative padding (-1, 0) in dimension 1");
  CHECK(error_text<ShapeError>([&] { broadcast_to(x, {3}); }) ==
        "broadcast_to: (2,3) does not broadcast to (3)");
}
