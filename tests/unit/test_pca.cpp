// Principal components, and the decompositions under them.
#include "close.hpp"
#include "tenon/decomposition/pca.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::contains;
using testing::error_of;
using testing::error_text;
using testing::same_bits;
using testing::ThreadScope;

namespace {

Tensor<double> normal(const Shape& shape, Rng& rng) { return Tensor<double>::normal(shape, rng); }

// Samples with deviation 2^-p along coordinate p of a random rotation, around `offset`.
Tensor<float> samples(Index n, Index d, Rng& rng, double offset = 0) {
  const auto rotation = linalg::svd(normal({d, d}, rng)).vt;
  auto z = normal({n, d}, rng);
  for (Index i = 0; i < z.numel(); ++i) z.data()[i] *= std::exp2(-static_cast<double>(i % d) / 2);
  auto x = matmul(z, rotation);
  for (double& v : x.span()) v += offset;
  return x.cast<float>();
}

// Xᵀ X / (n-1) of centred columns, by plain loops.
Tensor<double> covariance(const Tensor<float>& x) {
  const Index n = x.size(0), d = x.size(1);
  std::vector<double> mean(static_cast<std::size_t>(d));
  for (Index i = 0; i < x.numel(); ++i)
    mean[static_cast<std::size_t>(i % d)] += static_cast<double>(x.data()[i]) / static_cast<double>(n);
  auto out = Tensor<double>::zeros({d, d});
  for (Index i = 0; i < n; ++i) {
    for (Index p = 0; p < d; ++p) {
      for (Index q = 0; q < d; ++q) {
        out.data()[p * d + q] += (static_cast<double>(x.at({i, p})) - mean[static_cast<std::size_t>(p)]) *
                                 (static_cast<double>(x.at({i, q})) - mean[static_cast<std::size_t>(q)]) /
                                 static_cast<double>(n - 1);
      }
    }
  }
  return out;
}

Tensor<double> identity(Index n) {
  auto out = Tensor<double>::zeros({n, n});
  for (Index i = 0; i < n; ++i) out.data()[i * n + i] = 1;
  return out;
}

Tensor<double> gram(const Tensor<double>& rows) { return matmul(rows, rows, {.transpose_b = true}); }

}  // namespace

TEST_CASE("linalg: eigh, svd and lstsq rebuild what they were given") {
  Rng rng(1);
  for (const Index n : {1, 2, 7, 40}) {
    const auto half = normal({n, n}, rng);
    const auto a = matmul(half, half, {.transpose_b = true});
    const auto e = linalg::eigh(a);
    auto scaled = e.vectors.clone();
    for (Index i = 0; i < scaled.numel(); ++i) scaled.data()[i] *= e.values.data()[i % n];
    CHECK(!(error_of(matmul(scaled, e.vectors, {.transpose_b = true}), a) > 1e-12));
    for (Index i = 1; i < n; ++i) CHECK(e.values.data()[i - 1] <= e.values.data()[i]);
  }
  for (const Shape& shape : {Shape{3, 3}, Shape{9, 4}, Shape{4, 9}, Shape{60, 30}}) {
    const auto a = normal(shape, rng);
    const auto s = linalg::svd(a);
    const Index r = std::min(shape[0], shape[1]);
    auto us = s.u.clone();
    for (Index i = 0; i < us.numel(); ++i) us.data()[i] *= s.s.data()[i % r];
    CHECK(!(error_of(matmul(us, s.vt), a) > 1e-12));
    CHECK(!(error_of(gram(s.vt), identity(r)) > 1e-12));
    CHECK(!(error_of(gram(linalg::svd(a, true).vt), identity(shape[1])) > 1e-12));
  }
  // An overdetermined system with a known answer, and the shortest answer of an underdetermined one.
  const auto a = normal({12, 5}, rng), x = normal({5, 2}, rng);
  CHECK(!(error_of(linalg::lstsq(a, matmul(a, x)), x) > 1e-11));
  CHECK(!(error_of(linalg::lstsq(Tensor<double>({1, 2}, {3, 4}), Tensor<double>({1}, {50})),
                   Tensor<double>({2}, {6, 8})) > 1e-12));
  CHECK(contains(error_text<ShapeError>([] { linalg::eigh(Tensor<double>::zeros({2, 3})); }), "not square"));
  CHECK(contains(error_text<ShapeError>([] { linalg::svd(Tensor<double>::zeros({0, 3})); }), "svd"));
  CHECK(contains(error_text<ShapeError>([&] { linalg::lstsq(a, x); }), "expected 12 rows"));
  CHECK(contains(error_text<ValueError>([] {
                   linalg::svd(Tensor<double>::full({2, 2}, std::numeric_limits<double>::quiet_NaN()));
                 }),
                 "not finite"));
}

TEST_CASE("pca: components diagonalise the covariance, more samples than dimensions or fewer") {
  for (const double offset : {0.0, 1000.0}) {
    for (const Shape& shape : {Shape{200, 7}, Shape{2500, 3}, Shape{9, 30}, Shape{12, 12}, Shape{2, 1}}) {
      CAPTURE(shape[0]);
      Rng rng(static_cast<std::uint64_t>(shape[0]));
      const auto x = samples(shape[0], shape[1], rng, offset);
      const Index most = std::min(std::min(shape[0] - 1, shape[1]), Index{6});
      const Pca pca(x, {.components = most});
      const auto c = pca.components().cast<double>();
      CHECK(!(error_of(gram(c), identity(most)) > 1e-5));
      const auto diagonal = matmul(matmul(c, covariance(x)), c, {.transpose_b = true});
      auto expected = Tensor<double>::zeros({most, most});
      for (Index i = 0; i < most; ++i)
        expected.data()[i * most + i] = static_cast<double>(pca.variance().data()[i]);
      CHECK(!(error_of(diagonal, expected) > 1e-5));
      for (Index i = 1; i < most; ++i) CHECK(pca.variance().data()[i] <= pca.variance().data()[i - 1]);
    }
  }
}

TEST_CASE("pca: all components give the samples back, ratios sum to 1") {
  Rng rng(3);
  for (const bool whiten : {false, true}) {
    for (const Shape& shape : {Shape{50, 9}, Shape{9, 50}}) {
      const auto x = samples(shape[0], shape[1], rng, 3);
      const Pca pca(x, {.whiten = whiten});
      CHECK(!(error_of(pca.inverse_transform(pca.transform(x)), x) > 1e-5));
      double sum = 0;
      for (const float r : pca.variance_ratio().span()) sum += static_cast<double>(r);
      CHECK(sum == doctest::Approx(1));
    }
  }
}

TEST_CASE("pca: whitened coordinates have unit covariance; without variance they are 0") {
  Rng rng(4);
  const auto x = samples(400, 6, rng, -5);
  CHECK(!(error_of(covariance(Pca(x, {.components = 4, .whiten = true}).transform(x)), identity(4)) > 1e-4));
  const auto constant = Tensor<float>::full({5, 3}, 0.3f);
  const Pca flat(constant, {.whiten = true});
  CHECK(same_bits(flat.variance(), Tensor<float>::zeros({3})));
  CHECK(same_bits(flat.transform(constant), Tensor<float>::zeros({5, 3})));
  CHECK(!(error_of(flat.inverse_transform(flat.transform(constant)), constant) > 1e-6));
}

TEST_CASE("pca: the same bits with one thread or more; signs are fixed") {
  Rng rng(5);
  const auto x = samples(3000, 20, rng);
  const auto fit = [&](int threads) {
    const ThreadScope scope(threads);
    return Pca(x, {.components = 5}).components();
  };
  const auto a = fit(1);
  CHECK(same_bits(a, fit(2)));
  for (Index c = 0; c < 5; ++c) {
    float top = 0;
    for (Index p = 0; p < 20; ++p) {
      if (std::abs(a.at({c, p})) > std::abs(top)) top = a.at({c, p});
    }
    CHECK(top > 0);
  }
}

TEST_CASE("pca: errors say what is wrong") {
  Rng rng(6);
  const auto x = samples(5, 3, rng);
  CHECK(error_text<ValueError>([&] { Pca(x, {.components = 4}); }) ==
        "Pca: components is 4, expected 1 to 3 for x (5,3)");
  CHECK(contains(error_text<ValueError>([&] { Pca(x.rows(0, 1)); }), "at least 2 rows"));
  CHECK(contains(error_text<ShapeError>([&] { Pca(Tensor<float>::zeros({5})); }), "(n,d)"));
  CHECK(contains(error_text<ShapeError>([&] {
                   Pca(x).transform(Tensor<float>::zeros({5, 4}));
                 }),
                 "expected (n,3)"));
  CHECK(contains(error_text<ShapeError>([&] { Pca(x, {.components = 2}).inverse_transform(x); }),
                 "expected (n,2)"));
  Tensor<float> bad = x.clone();
  bad.at({4, 0}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { Pca{bad}; }), "in row 4, column 0"));
  CHECK(Pca(x).transform(Tensor<float>({0, 3})).shape() == Shape{0, 3});
}
