// Tensors: construction, sharing, and elementwise mathematics against plain loops.
#include <cmath>
#include <functional>

#include "close.hpp"
#include "tenon/tensor/tensors.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

TEST_CASE("tensor: construction") {
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.at({1, 0}) == 4);
  CHECK(x.numel() == 6);
  CHECK(x.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(Tensor<int>::arange(4).to_vector() == std::vector<int>{0, 1, 2, 3});
  CHECK(Tensor<double>::scalar(2.5).item() == 2.5);
  CHECK(Tensor<double>::scalar(2.5).rank() == 0);
  CHECK(Tensor<float>::zeros({3}).to_vector() == std::vector<float>(3, 0));
  CHECK(Tensor<float>::zeros({0, 5}).numel() == 0);
  CHECK_FALSE(Tensor<float>().defined());
  CHECK(Tensor<float>::zeros({0}).defined());
  CHECK_FALSE(Tensor<float>().cast<double>().defined());
  CHECK_FALSE(Tensor<float>().clone().defined());
}

TEST_CASE("tensor: what is refused") {
  CHECK(error_text<ShapeError>([] {
          Tensor<float>({2, 2}, {1, 2, 3});
        }) == "tensor: 3 values given for shape (2,2)");
  const Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(error_text<ShapeError>([&] { x.item(); }) ==
        "item: a tensor of shape (2,3) has 6 elements, expected 1");
  CHECK(error_text<ShapeError>([&] { x.at({0, 3}); }) == "at: position 3 in dimension 1 of shape (2,3)");
  CHECK(error_text<ShapeError>([&] { x.at({1}); }) == "at: 1 positions for shape (2,3)");
  CHECK(error_text<ShapeError>([&] {
          x.reshape({4, -1});
        }) == "reshape: (2,3) has 6 elements, not a multiple of 4");
  CHECK(error_text<ShapeError>([&] {
          x.reshape({4, 2});
        }) == "reshape: (2,3) has 6 elements, (4,2) would have 8");
  CHECK(error_text<ShapeError>([&] { x.reshape({-1, -1}); }) == "reshape: more than one extent is -1");
  CHECK(error_text<ShapeError>([&] { x.rows(1, 3); }) == "rows: 1 to 3 of shape (2,3)");
  CHECK(error_text<ShapeError>([&] { x.clone().copy_(x.reshape({3, 2})); }) == "copy_: (3,2) into (2,3)");
  CHECK_THROWS_AS(Tensor<double>({Index{1} << 40, Index{1} << 22}), ShapeError);
}

TEST_CASE("tensor: copies, reshapes and rows share; clone does not") {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.unique());
  const auto copy = x, flat = x.reshape({-1}), row = x[1], same = x.clone();
  CHECK_FALSE(x.unique());
  x.at({1, 0}) = 40;
  CHECK(copy.at({1, 0}) == 40);
  CHECK(flat.at({3}) == 40);
  CHECK(row.at({0}) == 40);
  CHECK(row.shape() == Shape{3});
  CHECK(same.at({1, 0}) == 4);
  x.rows(0, 1).clone().fill_(9);
  CHECK(x.at({0, 0}) == 1);
  x[0].fill_(9);
  CHECK(x.to_vector() == std::vector<float>{9, 9, 9, 40, 5, 6});
  CHECK(x.rows(2, 2).numel() == 0);
}

TEST_CASE("tensor: conversion") {
  const Tensor<double> x({4}, {1.9, -1.9, 255, 0});
  CHECK(x.cast<std::int32_t>().to_vector() == std::vector<std::int32_t>{1, -1, 255, 0});
  CHECK(x.cast<float>().cast<double>().data()[2] == 255);
  CHECK(x.cast<double>().data() == x.data());
  CHECK(x.to<Cpu>().data() == x.data());
}

namespace {

// The element of `x` that position `at` of the broadcast shape `out` reads.
double broadcast_element(const Tensor<double>& x, const Shape& out, Index at) {
  Index flat = 0, stride = 1;
  for (int d = out.rank() - 1, s = x.rank() - 1; s >= 0; --d, --s) {
    const Index i = at % out[d];
    at /= out[d];
    flat += x.size(s) == 1 ? 0 : i * stride;
    stride *= x.size(s);
  }
  return x.data()[flat];
}

}  // namespace

TEST_CASE("broadcasting: two hundred pairs of random shapes against a plain loop") {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    Shape out, a_full, b_full;
    const auto rank = static_cast<int>(rng.below(5));
    for (int d = 0; d < rank; ++d) {
      const Index e = 1 + rng.below(5);
      a_full.push_back(rng.bernoulli(0.3) ? 1 : e);
      b_full.push_back(rng.bernoulli(0.3) ? 1 : e);
      out.push_back(std::max(a_full[-1], b_full[-1]));
    }
    // Drop leading dimensions of one of them.
    Shape b;
    const auto dropped = static_cast<int>(rng.below(rank + 1));
    for (int d = dropped; d < rank; ++d) b.push_back(b_full[d]);
    for (int d = 0; d < dropped; ++d) out.set(d, a_full[d]);
    const auto x = Tensor<double>::uniform(a_full, rng, 1, 2), y = Tensor<double>::uniform(b, rng, 1, 2);
    const auto difference = x - y, quotient = y / x;
    REQUIRE(difference.shape() == out);
    for (Index i = 0; i < out.numel(); ++i) {
      const double p = broadcast_element(x, out, i), q = broadcast_element(y, out, i);
      REQUIRE(difference.data()[i] == p - q);
      REQUIRE(quotient.data()[i] == q / p);
    }
  }
}

TEST_CASE("broadcasting: the error names both shapes") {
  const auto a = Tensor<float>::zeros({2, 3}), b = Tensor<float>::zeros({4, 3});
  CHECK(error_text<ShapeError>([&] { a + b; }) ==
        "add: shapes (2,3) and (4,3) do not broadcast: 2 against 4");
  CHECK(error_text<ShapeError>([&] { a / b; }) ==
        "divide: shapes (2,3) and (4,3) do not broadcast: 2 against 4");
  CHECK(error_text<ShapeError>([&] { maximum(a, b); }) ==
        "maximum: shapes (2,3) and (4,3) do not broadcast: 2 against 4");
  CHECK((Tensor<float>::zeros({0, 3}) + Tensor<float>::ones({1, 3})).shape() == Shape{0, 3});
}

TEST_CASE("elementwise: every function against the standard library") {
  Rng rng(2);
  const auto x = Tensor<double>::uniform({3, 67}, rng, 0.1, 3), y = x - 1.5;
  const auto agrees = [](const Tensor<double>& found, const Tensor<double>& from, auto reference) {
    for (Index i = 0; i < from.numel(); ++i) {
      const double expected = reference(from.data()[i]);
      if (!(std::abs(found.data()[i] - expected) <= 1e-15 * std::max(1.0, std::abs(expected)))) return false;
    }
    return true;
  };
  CHECK(agrees(sqrt(x), x, [](double v) { return std::sqrt(v); }));
  CHECK(agrees(exp(y), y, [](double v) { return std::exp(v); }));
  CHECK(agrees(log(x), x, [](double v) { return std::log(v); }));
  CHECK(agrees(sin(y), y, [](double v) { return std::sin(v); }));
  CHECK(agrees(cos(y), y, [](double v) { return std::cos(v); }));
  CHECK(agrees(tanh(y), y, [](double v) { return std::tanh(v); }));
  CHECK(agrees(sigmoid(y), y, [](double v) { return 1 / (1 + std::exp(-v)); }));
  CHECK(agrees(softplus(y), y, [](double v) { return std::log(1 + std::exp(v)); }));
  CHECK(agrees(relu(y), y, [](double v) { return std::max(v, 0.0); }));
  CHECK(agrees(abs(y), y, [](double v) { return std::abs(v); }));
  CHECK(agrees(sign(y), y, [](double v) { return v > 0 ? 1.0 : v < 0 ? -1.0 : 0.0; }));
  CHECK(agrees(square(y), y, [](double v) { return v * v; }));
  CHECK(agrees(pow(x, 1.7), x, [](double v) { return std::pow(v, 1.7); }));
  CHECK(agrees(clamp(y, -0.5, 0.25), y, [](double v) { return std::clamp(v, -0.5, 0.25); }));
  CHECK(agrees(-y, y, [](double v) { return -v; }));
  CHECK(agrees(1 - y, y, [](double v) { return 1 - v; }));
  CHECK(agrees(2 / x, x, [](double v) { return 2 / v; }));
  CHECK(agrees(3 * y - 1, y, [](double v) { return 3 * v - 1; }));
}

TEST_CASE("elementwise: NaN and infinity pass through") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor<double> x({3}, {nan, inf, -inf}), zero = Tensor<double>::zeros({3});
  CHECK(std::isnan(relu(x).data()[0]));
  CHECK(std::isnan(clamp(x, 0, 1).data()[0]));
  CHECK(std::isnan(maximum(x, zero).data()[0]));
  CHECK(std::isnan(maximum(zero, x).data()[0]));
  CHECK(std::isnan(minimum(zero, x).data()[0]));
  CHECK(softplus(x * 1e300).data()[1] == inf);
  CHECK(softplus(Tensor<double>::full({1}, 800)).item() == 800);
  CHECK(softplus(Tensor<double>::full({1}, -800)).item() == 0);
  CHECK(sigmoid(x).data()[2] == 0);
}

TEST_CASE("elementwise: comparisons give 1 and 0") {
  const Tensor<float> a({3}, {1, 2, 3}), b({3}, {3, 2, 1});
  CHECK(greater(a, b).to_vector() == std::vector<float>{0, 0, 1});
  CHECK(less(a, b).to_vector() == std::vector<float>{1, 0, 0});
  CHECK(equal(a, b).to_vector() == std::vector<float>{0, 1, 0});
}

TEST_CASE("tensor: what was derived from the elements goes when they are written, and not before") {
  auto x = Tensor<float>::ones({4, 3});
  int made = 0;
  const auto derive = [&] {
    return *x.derived()->get<float>(std::as_const(x).data(), x.shape(), [&] {
      ++made;
      return std::make_shared<const float>(std::as_const(x).data()[3]);
    });
  };
  CHECK(derive() == 1);
  (void)std::as_const(x).span();
  (void)x.clone();
  (void)x.to_vector();
  CHECK(derive() == 1);
  CHECK(made == 1);
  x.rows(1, 2).fill_(2);  // shares the elements
  CHECK(derive() == 2);
  x.span()[3] = 3;
  CHECK(derive() == 3);
  x.at({1, 0}) = 4;
  CHECK(derive() == 4);
  x.copy_(Tensor<float>::full({4, 3}, 5));
  CHECK(derive() == 5);
  CHECK(made == 5);
  CHECK(Tensor<float>().derived() == nullptr);
}
