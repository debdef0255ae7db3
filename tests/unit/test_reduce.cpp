// Reductions against long double, and the same bits whatever the threads.
#include "close.hpp"
#include "tenon/tensor/layout.hpp"
#include "tenon/tensor/reduce.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

namespace {

// Over the axes marked in `reduced`, in long double; start and combine define the reduction.
template <class T, class Combine>
Tensor<T> reference(const Tensor<T>& x, const std::vector<bool>& reduced, long double start,
                    const Combine& combine) {
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) shape.push_back(reduced[static_cast<std::size_t>(d)] ? 1 : x.size(d));
  std::vector<long double> totals(static_cast<std::size_t>(shape.numel()), start);
  for (Index i = 0; i < x.numel(); ++i) {
    Index rest = i, to = 0, stride = 1;
    for (int d = x.rank() - 1; d >= 0; --d) {
      const Index at = rest % x.size(d);
      rest /= x.size(d);
      if (reduced[static_cast<std::size_t>(d)]) continue;
      to += at * stride;
      stride *= x.size(d);
    }
    auto& total = totals[static_cast<std::size_t>(to)];
    total = combine(total, static_cast<long double>(x.data()[i]));
  }
  std::vector<T> values(totals.begin(), totals.end());
  return Tensor<T>(shape, values);
}

const auto plus = [](long double a, long double b) { return a + b; };
const auto larger = [](long double a, long double b) { return std::max(a, b); };
const auto smaller = [](long double a, long double b) { return std::min(a, b); };

}  // namespace

TEST_CASE("reduce: random axes of random shapes, with and without keepdim") {
  Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    Shape shape;
    const auto rank = 1 + static_cast<int>(rng.below(4));
    for (int d = 0; d < rank; ++d) shape.push_back(1 + rng.below(9));
    const auto x = Tensor<double>::uniform(shape, rng, -1, 2);
    std::vector<bool> reduced(static_cast<std::size_t>(rank), false);
    std::vector<int> axes;
    for (int d = 0; d < rank; ++d) {
      if (!rng.bernoulli(0.5)) continue;
      reduced[static_cast<std::size_t>(d)] = true;
      axes.push_back(rng.bernoulli(0.5) ? d : d - rank);
    }
    if (axes.empty()) reduced.assign(reduced.size(), true);  // no axes means all
    const ReduceOptions keep{.axes = axes, .keepdim = true}, drop{.axes = axes};
    REQUIRE(error_of(sum(x, keep), reference(x, reduced, 0, plus)) < 1e-14);
    REQUIRE(error_of(max(x, keep), reference(x, reduced, -1e9L, larger)) == 0);
    REQUIRE(error_of(min(x, keep), reference(x, reduced, 1e9L, smaller)) == 0);
    REQUIRE(testing::same_bits(sum(x, drop), sum(x, keep).reshape(sum(x, drop).shape())));
    REQUIRE(error_of(mean(x, keep) * (x.numel() / sum(x, keep).numel()), sum(x, keep)) < 1e-14);
  }
}

TEST_CASE("sum: a million floats keep six digits, and half is summed in float") {
  Rng rng(2);
  const auto x = Tensor<float>::uniform({1000, 1000}, rng, 0, 1);
  CHECK(error_of(sum(x), reference(x, {true, true}, 0, plus).reshape({})) < 1e-6);
  CHECK(error_of(sum(x, {.axes = {0}, .keepdim = true}), reference(x, {true, false}, 0, plus)) < 1e-6);
  CHECK(static_cast<float>(sum(Tensor<half>::full({4096}, half(1.0f))).item()) ==
        4096);  // alone it would stop at 2048
}

TEST_CASE("reduce: the same bits with one and with two threads") {
  Rng rng(3);
  const auto x = Tensor<float>::uniform({300, 7, 301}, rng);
  for (const std::vector<int>& axes : {std::vector<int>{}, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}}) {
    Tensor<float> one, two;
    {
      const testing::ThreadScope scope(1);
      one = sum(x, {.axes = axes});
    }
    {
      const testing::ThreadScope scope(2);
      two = sum(x, {.axes = axes});
    }
    CHECK(testing::same_bits(one, two));
  }
}

TEST_CASE("reduce: nothing to reduce, and NaN") {
  CHECK(sum(Tensor<float>::zeros({0, 3})).item() == 0);
  CHECK(sum(Tensor<float>::zeros({0, 3}), {.axes = {0}}).to_vector() == std::vector<float>{0, 0, 0});
  CHECK(sum(Tensor<float>::scalar(3)).item() == 3);
  const auto once = Tensor<float>::ones({2});
  CHECK_FALSE(sum(once.reshape({2, 1}), {.axes = {1}}).data() == once.data());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Index at = 0; at < 19; ++at) {
    auto x = Tensor<float>::ones({19});
    x.data()[at] = nan;
    CHECK(std::isnan(max(x).item()));
    CHECK(std::isnan(min(x).item()));
    CHECK(argmax(x).item() == at);
  }
  CHECK(error_text<ShapeError>([] {
          max(Tensor<float>::zeros({0, 3}));
        }) == "max: shape (0,3) has no elements");
  CHECK(error_text<ShapeError>([] { sum(Tensor<float>::zeros({2}), {.axes = {1}}); }) ==
        "sum: axis 1 is out of range for rank 1");
}

TEST_CASE("argmax: the first of equals, along any axis") {
  const Tensor<int> x({2, 3}, {4, 9, 9, 7, 1, 7});
  CHECK(argmax(x).to_vector() == std::vector<std::int64_t>{1, 0});
  CHECK(argmax(x, 0).to_vector() == std::vector<std::int64_t>{1, 0, 0});
  CHECK(argmax(x, -2).shape() == Shape{3});
  CHECK(error_text<ShapeError>([] {
          argmax(Tensor<int>::zeros({2, 0}));
        }) == "argmax: shape (2,0) is empty along axis -1");
}

TEST_CASE("sum_to: undoes a broadcast") {
  Rng rng(4);
  const auto x = Tensor<double>::uniform({2, 3, 4}, rng);
  CHECK(testing::same_bits(sum_to(x, {2, 3, 4}), x));
  CHECK(error_of(sum_to(x, {3, 1}), reference(x, {true, false, true}, 0, plus).reshape({3, 1})) < 1e-15);
  CHECK(error_of(sum_to(x, {}), reference(x, {true, true, true}, 0, plus).reshape({})) < 1e-15);
  CHECK(sum_to(x.reshape({1, 2, 3, 4}), {2, 3, 4}).shape() == Shape{2, 3, 4});
}
