// Batch normalisation against its formulas in long double, and the same bits whatever the threads.
#include "close.hpp"
#include "tenon/autograd/batchnorm.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

namespace {

struct Plain {
  std::vector<long double> mean, variance;  // biased
};

template <class T>
Plain statistics(const Tensor<T>& x) {
  const Index c = x.size(-1), rows = x.numel() / c;
  const auto channels = static_cast<std::size_t>(c);
  Plain s{std::vector<long double>(channels), std::vector<long double>(channels)};
  for (Index i = 0; i < x.numel(); ++i) s.mean[static_cast<std::size_t>(i % c)] += x.data()[i];
  for (auto& m : s.mean) m /= static_cast<long double>(rows);
  for (Index i = 0; i < x.numel(); ++i) {
    const auto at = static_cast<std::size_t>(i % c);
    const long double d = x.data()[i] - s.mean[at];
    s.variance[at] += d * d;
  }
  for (auto& v : s.variance) v /= static_cast<long double>(rows);
  return s;
}

template <class T>
void compare(const Shape& shape, double tolerance) {
  Rng rng(1);
  const Index c = shape[-1], rows = shape.numel() / c;
  const auto x =
      Tensor<T>::uniform(shape, rng, 9, 11);  // far from zero: a one-pass variance would lose digits
  const auto gamma = Tensor<T>::uniform({c}, rng, 0.5, 2), beta = Tensor<T>::uniform({c}, rng, -1, 1);
  auto mean = Tensor<T>::full({c}, T(3)), var = Tensor<T>::full({c}, T(2));
  const auto y =
      batch_norm_train(Var<T>(x), Var<T>(gamma), Var<T>(beta), mean, var, {.momentum = 0.25, .eps = 1e-3});

  const Plain s = statistics(x);
  Tensor<T> expected(shape), expected_mean({c}), expected_var({c});
  for (Index i = 0; i < x.numel(); ++i) {
    const auto at = static_cast<std::size_t>(i % c);
    expected.data()[i] =
        static_cast<T>((x.data()[i] - s.mean[at]) / std::sqrt(s.variance[at] + 1e-3L) * gamma.data()[i % c] +
                       beta.data()[i % c]);
  }
  for (Index i = 0; i < c; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const long double unbiased =
        s.variance[at] * static_cast<long double>(rows) / static_cast<long double>(rows - 1);
    expected_mean.data()[i] = static_cast<T>(0.75L * 3 + 0.25L * s.mean[at]);
    expected_var.data()[i] = static_cast<T>(0.75L * 2 + 0.25L * unbiased);
  }
  CHECK(error_of(y.value(), expected) <= tolerance);
  CHECK(error_of(mean, expected_mean) <= tolerance);
  CHECK(error_of(var, expected_var) <= tolerance);

  const auto z = batch_norm_eval(Var<T>(x), Var<T>(gamma), Var<T>(beta), mean, var, {.eps = 1e-3});
  for (Index i = 0; i < x.numel(); ++i) {
    expected.data()[i] =
        (x.data()[i] - mean.data()[i % c]) / std::sqrt(var.data()[i % c] + T(1e-3)) * gamma.data()[i % c] +
        beta.data()[i % c];
  }
  CHECK(error_of(z.value(), expected) <= tolerance);
}

}  // namespace

TEST_CASE("batch_norm: training and evaluation follow the formulas") {
  for (const Shape& shape :
       {Shape{2, 3, 5, 3}, Shape{64, 1}, Shape{7, 40}, Shape{4, 16, 16, 16}, Shape{2, 5}}) {
    compare<double>(shape, 1e-12);
    compare<float>(shape, 3e-5);
  }
}

TEST_CASE("batch_norm: the same bits with one and with two threads") {
  Rng rng(2);
  for (const Shape& shape : {Shape{8, 33, 31, 19}, Shape{16, 64, 64, 3}}) {
    const Index c = shape[-1];
    const auto x = Tensor<float>::uniform(shape, rng, -1, 1), dy = Tensor<float>::uniform(shape, rng, -1, 1);
    const auto run = [&](int threads) {
      const testing::ThreadScope scope(threads);
      Var<float> input(x, {.requires_grad = true}), gamma(Tensor<float>::ones({c}), {.requires_grad = true});
      Var<float> beta(Tensor<float>::zeros({c}), {.requires_grad = true});
      auto mean = Tensor<float>::zeros({c}), var = Tensor<float>::ones({c});
      const auto y = batch_norm_train(input, gamma, beta, mean, var, {});
      y.backward(dy);
      return std::vector{y.value(), mean, var, input.grad(), gamma.grad(), beta.grad()};
    };
    const auto one = run(1), two = run(2);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(testing::same_bits(one[i], two[i]));
  }
}

TEST_CASE("batch_norm: what is refused") {
  const auto norm = [](const Shape& x, const Shape& gamma, const Shape& beta, const Shape& running) {
    return error_text<ShapeError>([&] {
      auto mean = Tensor<float>::zeros(running), var = Tensor<float>::ones(running);
      batch_norm_train(Var<float>(Tensor<float>::zeros(x)), Var<float>(Tensor<float>::ones(gamma)),
                       Var<float>(Tensor<float>::zeros(beta)), mean, var, {});
    });
  };
  CHECK(norm({4, 5}, {3}, {3}, {3}) == "batch_norm: x (4,5) has 5 channels, the layer was made for 3");
  CHECK(testing::contains(norm({1, 5}, {5}, {5}, {5}), "batch_norm: x (1,5) has one value a channel"));
  CHECK(testing::contains(norm({4, 5}, {5}, {4}, {5}), "got (4) beside (5)"));
  CHECK(testing::contains(norm({4, 5}, {5}, {5}, {1}), "got (1) beside (5)"));
  CHECK(testing::contains(norm({4, 0}, {0}, {0}, {0}), "must share a shape (C)"));
  CHECK(norm({4, 5}, {5}, {5}, {5}) == "nothing was thrown");
}
