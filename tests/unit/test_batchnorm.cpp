// Batch normalisation against its formulas in long double, and the same bits whatever the threads.
#include "close.hpp"
#include "tenon/autograd/activations.hpp"
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
  // The last is past the size from which results go past the caches.
  for (const Shape& shape :
       {Shape{8, 33, 31, 19}, Shape{16, 64, 64, 3}, Shape{3, 7, 300}, Shape{24, 56, 56, 64}}) {
    const Index c = shape[-1];
    const auto x = Tensor<float>::uniform(shape, rng, -1, 1), dy = Tensor<float>::uniform(shape, rng, -1, 1);
    for (const bool residual : {false, true}) {
      const auto run = [&](int threads) {
        const testing::ThreadScope scope(threads);
        Var<float> input(x, {.requires_grad = true}),
            gamma(Tensor<float>::ones({c}), {.requires_grad = true});
        Var<float> beta(Tensor<float>::zeros({c}), {.requires_grad = true});
        Var<float> other(residual ? Var<float>(dy, {.requires_grad = true}) : Var<float>());
        auto mean = Tensor<float>::zeros({c}), var = Tensor<float>::ones({c});
        const auto y =
            batch_norm_train(input, gamma, beta, mean, var, {}, {.residual = other, .relu = residual});
        y.backward(dy);
        return std::vector{
            y.value(), mean, var, input.grad(), gamma.grad(), beta.grad(), residual ? other.grad() : dy};
      };
      const auto one = run(1), two = run(2);
      for (std::size_t i = 0; i < one.size(); ++i) CHECK(testing::same_bits(one[i], two[i]));
    }
  }
}

TEST_CASE("batch_norm: statistics far from zero") {
  Rng rng(3);
  for (const auto& far : std::vector<std::pair<Shape, double>>{
           {{128, 32, 32, 16}, 1000}, {{64, 7, 5, 3}, 1000}, {{9, 7, 7, 300}, -1000}, {{3, 17}, 1000}}) {
    const Shape& shape = far.first;
    const double centre = far.second;
    const Index c = shape[-1], rows = shape.numel() / c;
    auto x = Tensor<float>::uniform(shape, rng, -1, 1);
    for (float& v : x.span()) v = static_cast<float>(centre + 0.01 * std::sqrt(3.0) * static_cast<double>(v));
    x.data()[0] =
        static_cast<float>(centre + 0.1);  // the first value, which the sums are centred on, is an outlier
    const Plain s = statistics(x);
    Tensor<float> mean({c}), variance({c}), y(shape);
    Backend<Cpu>::batch_norm_statistics(rows, c, x.data(), mean.data(), variance.data());
    for (Index i = 0; i < c; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double mean_error = std::abs(static_cast<double>(mean.data()[i] - s.mean[at]) / centre);
      const double error = std::abs(static_cast<double>(variance.data()[i] / s.variance[at] - 1));
      CHECK(!!(mean_error <= 6.0e-8));
      CHECK_MESSAGE(!!(error <= 1e-5), shape, " channel ", i, ": ", error);
    }
    // The stated limit of the result: half a unit of the mean's last place over the deviation, and rounding.
    const auto ones = Tensor<float>::ones({c}), zeros = Tensor<float>::zeros({c});
    Tensor<float> inv_std({c});
    const BatchNormGeometry g{.rows = rows, .c = c};
    Backend<Cpu>::batch_norm_forward_train<float>(g, 0, x.data(), ones.data(), zeros.data(), nullptr,
                                                  y.data(), mean.data(), inv_std.data(), variance.data());
    double worst = 0;
    for (Index i = 0; i < x.numel(); ++i) {
      const auto at = static_cast<std::size_t>(i % c);
      const long double expected = (x.data()[i] - s.mean[at]) / std::sqrt(s.variance[at]);
      const double limit =
          0x1p-15 / std::sqrt(static_cast<double>(s.variance[at]));  // a float near 1000 ± 2^-15
      const double error = std::abs(static_cast<double>(y.data()[i] - expected)) / limit;
      if (!(error <= worst)) worst = error;
    }
    CHECK_MESSAGE(!!(worst <= 1.05), shape, ": ", worst);
  }
}

TEST_CASE("batch_norm: with a residual and a rectifier it is the operations one after the other") {
  Rng rng(4);
  for (const Shape& shape : {Shape{2, 3, 5, 3}, Shape{7, 40}, Shape{33, 256}, Shape{5, 9, 9, 300}}) {
    const Index c = shape[-1];
    const auto x = Tensor<float>::uniform(shape, rng, -1, 1), r = Tensor<float>::uniform(shape, rng, -1, 1);
    const auto gamma = Tensor<float>::uniform({c}, rng, 0.5, 2),
               beta = Tensor<float>::uniform({c}, rng, -1, 1);
    const auto dy = Tensor<float>::uniform(shape, rng, -1, 1);
    for (const bool training : {false, true}) {
      for (const bool with_residual : {false, true}) {
        const auto run = [&](bool fused) {
          Var<float> input(x.clone(), {.requires_grad = true}), other(r.clone(), {.requires_grad = true});
          Var<float> scale(gamma, {.requires_grad = true}), shift(beta, {.requires_grad = true});
          auto mean = Tensor<float>::zeros({c}), var = Tensor<float>::ones({c});
          const auto norm = [&](const AfterNorm<float, Cpu>& after) {
            return training ? batch_norm_train(input, scale, shift, mean, var, {}, after)
                            : batch_norm_eval(input, scale, shift, mean, var, {}, after);
          };
          Var<float> y;
          if (fused)
            y = norm({.residual = with_residual ? other : Var<float>(), .relu = true});
          else
            y = relu(with_residual ? norm({}) + other : norm({}));
          y.backward(dy.clone());
          return std::vector{y.value(), input.grad(), scale.grad(), shift.grad(),
                             with_residual ? other.grad() : r};
        };
        const auto found = run(true), expected = run(false);
        for (std::size_t i = 0; i < found.size(); ++i) CHECK(error_of(found[i], expected[i]) <= 1e-5);
      }
    }
  }
}

TEST_CASE("batch_norm: a NaN reaches the result, the statistics and the gradients of its channel") {
  auto x = Tensor<float>::ones({40, 3});
  for (Index i = 0; i < x.numel(); ++i) x.data()[i] = static_cast<float>(i % 7);
  x.data()[3 * 17 + 1] = std::numeric_limits<float>::quiet_NaN();
  Var<float> input(x, {.requires_grad = true}), gamma(Tensor<float>::ones({3}), {.requires_grad = true});
  const Var<float> beta(Tensor<float>::zeros({3}), {.requires_grad = true});
  auto mean = Tensor<float>::zeros({3}), var = Tensor<float>::ones({3});
  const auto y = batch_norm_train(input, gamma, beta, mean, var, {}, {.residual = input, .relu = true});
  y.backward(Tensor<float>::ones({40, 3}));
  for (Index i = 0; i < y.numel(); ++i) {
    CHECK(std::isnan(y.value().data()[i]) == (i % 3 == 1));
    CHECK(std::isnan(input.grad().data()[i]) == (i % 3 == 1));
  }
  CHECK(std::isnan(mean.data()[1]));
  CHECK(std::isnan(var.data()[1]));
  CHECK(std::isnan(gamma.grad().data()[1]));
  CHECK_FALSE(std::isnan(gamma.grad().data()[2]));
}

TEST_CASE("batch_norm: gradients that somebody holds are left alone; a kept graph can be used again") {
  Rng rng(5);
  const auto start = Tensor<float>::uniform({6, 4}, rng, -1, 1), before = start.clone();
  Var<float> x(Tensor<float>::uniform({6, 4}, rng, -1, 1), {.requires_grad = true});
  Var<float> gamma(Tensor<float>::ones({4}), {.requires_grad = true}), beta(Tensor<float>::zeros({4}));
  auto mean = Tensor<float>::zeros({4}), var = Tensor<float>::ones({4});
  const auto y = relu(batch_norm_train(x, gamma, beta, mean, var, {}, {.residual = x, .relu = true}) + x);
  y.backward(start, {.retain_graph = true});
  CHECK(testing::same_bits(start, before));
  const auto held = x.grad(), once = held.clone();
  y.backward(start.clone());
  CHECK(testing::same_bits(held, once));
  CHECK(error_of(x.grad(), once * 2) <= 1e-6);
}

TEST_CASE("batch_norm: what is refused") {
  const auto run = [](const Shape& x, const Shape& gamma, const Shape& beta, const Shape& running) {
    auto mean = Tensor<float>::zeros(running), var = Tensor<float>::ones(running);
    batch_norm_train(Var<float>(Tensor<float>::zeros(x)), Var<float>(Tensor<float>::ones(gamma)),
                     Var<float>(Tensor<float>::zeros(beta)), mean, var, {});
  };
  const auto norm = [&](const Shape& x, const Shape& gamma, const Shape& beta, const Shape& running) {
    return error_text<ShapeError>([&] { run(x, gamma, beta, running); });
  };
  CHECK(norm({4, 5}, {3}, {3}, {3}) == "batch_norm: x (4,5) has 5 channels, the layer was made for 3");
  CHECK(testing::contains(norm({1, 5}, {5}, {5}, {5}), "batch_norm: x (1,5) has one value a channel"));
  CHECK(testing::contains(norm({4, 5}, {5}, {4}, {5}), "got (4) beside (5)"));
  CHECK(testing::contains(norm({4, 5}, {5}, {5}, {1}), "got (1) beside (5)"));
  CHECK(testing::contains(norm({4, 0}, {0}, {0}, {0}), "must share a shape (C)"));
  CHECK_NOTHROW(run({4, 5}, {5}, {5}, {5}));
  CHECK(error_text<ShapeError>([&] {
          auto mean = Tensor<float>::zeros({5}), var = Tensor<float>::ones({5});
          const Var<float> c(Tensor<float>::ones({5}));
          batch_norm_train(Var<float>(Tensor<float>::zeros({4, 5})), c, c, mean, var, {},
                           {.residual = Tensor<float>::zeros({5, 4})});
        }) == "batch_norm: residual (5,4) for x (4,5)");
}
