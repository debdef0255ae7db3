// The linear SVM: its optimum is certified by the duality gap, and known by hand in small cases.
#include "close.hpp"
#include "tenon/svm/linear_svm.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::contains;
using testing::error_text;
using testing::same_bits;
using testing::ThreadScope;

namespace {

struct Set {
  Tensor<float> x;
  Tensor<std::int32_t> labels;
};

// `classes` overlapping groups.
Set groups(Index n, Index d, std::int32_t classes, double apart, Rng& rng) {
  Set s{Tensor<float>::normal({n, d}, rng), Tensor<std::int32_t>({n})};
  for (Index i = 0; i < n; ++i) {
    s.labels.data()[i] = static_cast<std::int32_t>(i) % classes;
    s.x.data()[i * d + s.labels.data()[i] % d] += static_cast<float>(apart);
  }
  return s;
}

// ½|w|² + C Σ loss, with the bias as a coordinate of value 1.
double objective(const Set& s, const LinearSvm& svm, const LinearSvmOptions& options, std::size_t machine) {
  const Index d = s.x.size(1), m = static_cast<Index>(machine);
  const auto bias = static_cast<double>(svm.bias().data()[m]) / (options.bias > 0 ? options.bias : 1);
  double sum = bias * bias / 2;
  for (Index p = 0; p < d; ++p) sum += std::pow(static_cast<double>(svm.weights().at({m, p})), 2) / 2;
  const auto values = svm.decision_values(s.x);
  for (Index i = 0; i < s.x.size(0); ++i) {
    const double y = s.labels.data()[i] == svm.classes()[machine] ? 1 : -1;
    const double t = std::max(0.0, 1 - y * static_cast<double>(values.at({i, m})));
    sum += options.c * (options.loss == SvmLoss::hinge ? t : t * t);
  }
  return sum;
}

// Σα - ½ αᵀ(Q + D)α for the α that dual_descent finds: a lower bound of the optimum.
double dual_bound(const Set& s, const LinearSvmOptions& options, std::int32_t own) {
  std::vector<double> y, squares, alpha;
  for (Index i = 0; i < s.x.size(0); ++i) {
    y.push_back(s.labels.data()[i] == own ? 1 : -1);
    double sum = options.bias * options.bias;
    for (Index p = 0; p < s.x.size(1); ++p) sum += std::pow(static_cast<double>(s.x.at({i, p})), 2);
    squares.push_back(sum);
  }
  const bool squared = options.loss == SvmLoss::squared_hinge;
  const svm::DualProblem problem{.upper = squared ? std::numeric_limits<double>::infinity() : options.c,
                                 .diagonal = squared ? 1 / (2 * options.c) : 0,
                                 .tolerance = options.tolerance,
                                 .max_iterations = options.max_iterations};
  Rng rng(5);
  svm::WeightSamples samples(s.x, options.bias, squares);
  CHECK(svm::dual_descent(samples, y, problem, rng, alpha) > 0);
  double linear = 0, diagonal = 0, bias = 0;
  std::vector<double> w(static_cast<std::size_t>(s.x.size(1)));
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(alpha[i] >= 0);
    CHECK(alpha[i] <= problem.upper);
    linear += alpha[i];
    diagonal += problem.diagonal * alpha[i] * alpha[i];
    bias += alpha[i] * y[i] * options.bias;
    for (std::size_t p = 0; p < w.size(); ++p) {
      w[p] += alpha[i] * y[i] * static_cast<double>(s.x.at({static_cast<Index>(i), static_cast<Index>(p)}));
    }
  }
  double square = bias * bias;
  for (const double v : w) square += v * v;
  return linear - (square + diagonal) / 2;
}

}  // namespace

TEST_CASE("svm: two points, by hand") {
  // w = (0.5), bias 0: both points lie on the margin.
  const Tensor<float> x({2, 1}, {-2, 2});
  const Tensor<std::int32_t> labels({2}, {4, 9});
  const LinearSvm hinge(x, labels, {.c = 100, .loss = SvmLoss::hinge, .tolerance = 1e-9});
  CHECK(hinge.weights().to_vector()[1] == doctest::Approx(0.5));
  CHECK(hinge.bias().to_vector()[1] == doctest::Approx(0).epsilon(1e-6));
  CHECK(hinge.predict(x).to_vector() == std::vector<std::int32_t>{4, 9});
  // One coordinate, squared loss, no bias: min w²/2 + 2C(1 - 2w)², so w = 8C / (1 + 16C).
  const LinearSvm squared(x, labels, {.c = 0.25, .bias = 0, .tolerance = 1e-9});
  CHECK(squared.weights().to_vector()[1] == doctest::Approx(2.0 / 5));
  CHECK(squared.weights().to_vector()[0] == doctest::Approx(-2.0 / 5));
  CHECK(squared.bias().to_vector()[1] == 0);
}

TEST_CASE("svm: the duality gap closes, samples by weights or by products") {
  Rng rng(3);
  for (const Shape& shape : {Shape{150, 5}, Shape{60, 90}, Shape{31, 17}}) {
    for (const std::int32_t classes : {2, 4}) {
      const Set s = groups(shape[0], shape[1], classes, 2, rng);
      for (const SvmLoss loss : {SvmLoss::hinge, SvmLoss::squared_hinge}) {
        for (const double bias : {0.0, 1.0, 3.0}) {
          const LinearSvmOptions options{
              .c = 0.1, .loss = loss, .bias = bias, .tolerance = 1e-4, .max_iterations = 5000};
          const LinearSvm svm(s.x, s.labels, options);
          for (std::size_t m = 0; m < svm.classes().size(); ++m) {
            CHECK(svm.iterations()[m] > 0);
            const double found = objective(s, svm, options, m),
                         bound = dual_bound(s, options, svm.classes()[m]);
            CHECK(!(found - bound > 1e-3 * found));
            CHECK(!(bound - found > 1e-5 * found));
          }
        }
      }
    }
  }
}

TEST_CASE("svm: groups that can be separated are, and labels may be any integers") {
  Rng rng(4);
  Set s = groups(300, 6, 5, 20, rng);
  for (std::int32_t& l : s.labels.span()) l = l * 1000 - 2000;
  for (const SvmLoss loss : {SvmLoss::hinge, SvmLoss::squared_hinge}) {
    const LinearSvm svm(s.x, s.labels, {.loss = loss});
    CHECK(svm.classes() == std::vector<std::int32_t>{-2000, -1000, 0, 1000, 2000});
    CHECK(svm.predict(s.x).to_vector() == s.labels.to_vector());
    CHECK(svm.decision_values(s.x).shape() == Shape{300, 5});
  }
}

TEST_CASE("svm: the same bits with one thread or more") {
  Rng rng(5);
  for (const Shape& shape : {Shape{200, 10}, Shape{80, 100}}) {
    const Set s = groups(shape[0], shape[1], 6, 1, rng);
    const auto fit = [&](int threads) {
      const ThreadScope scope(threads);
      return LinearSvm(s.x, s.labels, {.c = 1});
    };
    const LinearSvm a = fit(1), b = fit(2);
    CHECK(same_bits(a.weights(), b.weights()));
    CHECK(same_bits(a.bias(), b.bias()));
  }
}

TEST_CASE("svm: samples of zeros, repeated and contradicting samples") {
  const auto zeros = Tensor<float>::zeros({6, 2});
  const Tensor<std::int32_t> labels({6}, {0, 1, 0, 1, 1, 1});
  for (const SvmLoss loss : {SvmLoss::hinge, SvmLoss::squared_hinge}) {
    const LinearSvm none(zeros, labels, {.loss = loss, .bias = 0});
    CHECK(same_bits(none.weights(), zeros.rows(0, 2)));
    const LinearSvm biased(zeros, labels, {.loss = loss});
    CHECK(biased.predict(zeros).to_vector() ==
          std::vector<std::int32_t>(6, 1));  // all it can know: the majority
  }
}

TEST_CASE("svm: errors say what is wrong") {
  Rng rng(6);
  const Set s = groups(10, 3, 2, 1, rng);
  CHECK(contains(error_text<ValueError>([&] { LinearSvm(s.x, Tensor<std::int32_t>::ones({10})); }),
                 "at least 2 classes"));
  CHECK(contains(error_text<ShapeError>([&] { LinearSvm(s.x, Tensor<std::int32_t>::ones({9})); }),
                 "labels is (9)"));
  CHECK(contains(error_text<ValueError>([&] { LinearSvm(s.x, s.labels, {.c = 0}); }), "c is 0"));
  CHECK(contains(error_text<ValueError>([&] {
                   LinearSvm(Tensor<float>({0, 3}), Tensor<std::int32_t>({0}));
                 }),
                 "at least 2 rows"));
  const LinearSvm svm(s.x, s.labels);
  CHECK(contains(error_text<ShapeError>([&] {
                   svm.predict(Tensor<float>::zeros({2, 4}));
                 }),
                 "expected (n,3)"));
  CHECK(svm.predict(Tensor<float>({0, 3})).numel() == 0);
  Tensor<float> bad = s.x.clone();
  bad.at({7, 2}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { LinearSvm(bad, s.labels); }), "in row 7, column 2"));
  CHECK(contains(error_text<ValueError>([&] { svm.predict(bad); }), "in row 7, column 2"));
}
