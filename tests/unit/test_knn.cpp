// Nearest neighbours against plain loops: the same rows in the same order, whatever the data.
#include <type_traits>

#include "close.hpp"
#include "each_isa.hpp"
#include "tenon/neighbors/knn.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::contains;
using testing::error_text;
using testing::same_bits;
using testing::ThreadScope;

namespace {

constexpr Metric metrics[] = {Metric::l2, Metric::l1, Metric::cosine, Metric::chi2, Metric::hellinger};

bool takes_negative(Metric m) { return m != Metric::chi2 && m != Metric::hellinger; }

void check_exact(const Tensor<float>& base, const Tensor<float>& queries, Index k, Metric metric) {
  CAPTURE(metric_name(metric));
  CAPTURE(text(base.size(0), " x ", base.size(1), ", ", queries.size(0), " queries, k ", k));
  const auto found = knn_search(base, queries, {.k = k, .metric = metric});
  const auto expected = knn_search_reference(base, queries, {.k = k, .metric = metric});
  CHECK(same_bits(found.indices, expected.indices));
  CHECK(same_bits(found.distances, expected.distances));
}

}  // namespace

TEST_CASE("knn: the distances, by hand") {
  const float a[] = {1, 0, 4}, b[] = {4, 0, 0};
  CHECK(distance(Metric::l2, a, b, 3) == doctest::Approx(5));
  CHECK(distance(Metric::l1, a, b, 3) == doctest::Approx(7));
  CHECK(distance(Metric::cosine, a, b, 3) == doctest::Approx(1 - 1 / std::sqrt(17.0)));
  CHECK(distance(Metric::chi2, a, b, 3) == doctest::Approx(9.0 / 5 + 4));
  CHECK(distance(Metric::hellinger, a, b, 3) == doctest::Approx(std::sqrt((1.0 + 4) / 2)));
  const float zero[] = {0, 0, 0};
  CHECK(distance(Metric::cosine, a, zero, 3) == 1);
  CHECK(distance(Metric::chi2, zero, zero, 3) == 0);
}

TEST_CASE("knn: equals the plain loops at odd sizes") {
  struct Case {
    Index n, m, d, k;
  };
  for (const Case c : {Case{1, 1, 1, 1},
                       {3, 2, 5, 3},
                       {13, 33, 1, 4},
                       {101, 65, 17, 7},
                       {517, 31, 128, 5},
                       {60, 600, 257, 60},
                       {200, 3, 700, 11},
                       {9001, 5, 6, 3}}) {
    Rng rng(static_cast<std::uint64_t>(c.n + c.d));
    const auto base = Tensor<float>::uniform({c.n, c.d}, rng),
               queries = Tensor<float>::uniform({c.m, c.d}, rng);
    for (const Metric metric : metrics) check_exact(base, queries, c.k, metric);
    const auto signed_base = Tensor<float>::normal({c.n, c.d}, rng),
               signed_queries = Tensor<float>::normal({c.m, c.d}, rng);
    for (const Metric metric : {Metric::l2, Metric::l1, Metric::cosine})
      check_exact(signed_base, signed_queries, c.k, metric);
  }
}

TEST_CASE("knn: equals the plain loops where float scores cannot tell rows apart") {
  Rng rng(7);
  const Index n = 400, m = 40, d = 48;
  // Nearly equal rows far from the origin; a base whose rows differ in the last bit; rows many times over.
  Tensor<float> base({n, d}), queries({m, d});
  for (Index i = 0; i < base.numel(); ++i)
    base.data()[i] = 1000.0f + static_cast<float>(rng.below(9)) * 0x1p-13f;
  for (Index i = 0; i < queries.numel(); ++i)
    queries.data()[i] = 1000.0f + static_cast<float>(rng.below(9)) * 0x1p-13f;
  for (const Metric metric : metrics) check_exact(base, queries, 10, metric);

  Tensor<float> repeated({n, d});
  for (Index i = 0; i < base.numel(); ++i) repeated.data()[i] = base.data()[i % (5 * d)];
  for (const Metric metric : metrics) check_exact(repeated, queries, 20, metric);

  // One row far away makes the common scale coarse for all others.
  Tensor<float> outlier = Tensor<float>::uniform({n, d}, rng);
  for (Index p = 0; p < d; ++p) outlier.data()[17 * d + p] = 1e7f;
  for (const Metric metric : metrics) check_exact(outlier, Tensor<float>::uniform({m, d}, rng), 5, metric);

  // Queries out of all proportion to the base, and the reverse; values at the ends of the range of float.
  for (const float factor : {1e38f, 1e30f, 1e-30f, 1e-44f}) {
    Tensor<float> scaled = Tensor<float>::uniform({m, d}, rng);
    for (float& v : scaled.span()) v *= factor;
    const auto unit = Tensor<float>::uniform({n, d}, rng);
    for (const Metric metric : metrics) {
      check_exact(unit, scaled, 5, metric);
      check_exact(scaled, unit.rows(0, 20), 5, metric);
      check_exact(scaled, scaled, 3, metric);
    }
  }
  for (const Metric metric : metrics)
    check_exact(Tensor<float>::full({50, 3}, 0.1f), Tensor<float>::zeros({4, 3}), 50, metric);
}

TEST_CASE("knn: a base sorted by distance, sparse histograms, the queries themselves") {
  Rng rng(8);
  Tensor<float> sorted({3000, 2});
  for (Index i = 0; i < 3000; ++i)
    sorted.data()[2 * i] = sorted.data()[2 * i + 1] = static_cast<float>(3000 - i);
  for (const Metric metric : metrics) check_exact(sorted, Tensor<float>::uniform({9, 2}, rng), 5, metric);
  Tensor<float> sparse = Tensor<float>::zeros({300, 90});
  for (Index i = 0; i < 900; ++i) sparse.data()[rng.below(sparse.numel())] += 1;
  for (const Metric metric : metrics) check_exact(sparse, sparse, 6, metric);
}

TEST_CASE("knn: every instruction set of this processor is exact") {
  Rng rng(10);
  const Index n = 211, m = 50, d = 300, k = 4;
  const auto base = Tensor<float>::uniform({n, d}, rng), queries = Tensor<float>::uniform({m, d}, rng);
  const auto check = [&](auto isa, auto score, Metric metric) {
    const auto expected = knn_search_reference(base, queries, {.k = k, .metric = metric});
    const neighbors::PreparedRows prepared(base, metric);
    neighbors::Scan<decltype(score)::value, decltype(isa)> scan(prepared, base.data(), queries.data(), m, k);
    scan.run(0, n);
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < k; ++j) {
        CHECK(scan.sorted(i)[static_cast<std::size_t>(j)].index == expected.indices.at({i, j}));
      }
    }
  };
  testing::each_isa([&](auto isa, const char* name) {
    CAPTURE(name);
    check(isa, std::integral_constant<cpu::Score, cpu::Score::product>{}, Metric::l2);
    check(isa, std::integral_constant<cpu::Score, cpu::Score::product>{}, Metric::cosine);
    check(isa, std::integral_constant<cpu::Score, cpu::Score::l1>{}, Metric::l1);
    check(isa, std::integral_constant<cpu::Score, cpu::Score::chi2>{}, Metric::chi2);
  });
}

TEST_CASE("knn: the same bits with one thread or more") {
  Rng rng(9);
  const auto base = Tensor<float>::uniform({5003, 37}, rng), queries = Tensor<float>::uniform({97, 37}, rng);
  for (const Metric metric : metrics) {
    const auto run = [&](int threads) {
      const ThreadScope scope(threads);
      return knn_search(base, queries, {.k = 9, .metric = metric});
    };
    const auto a = run(1), b = run(2), c = run(3);
    CHECK(same_bits(a.indices, b.indices));
    CHECK(same_bits(a.distances, b.distances));
    CHECK(same_bits(a.indices, c.indices));
  }
}

TEST_CASE("knn: no queries, and errors that say what is wrong") {
  Rng rng(1);
  const auto x = Tensor<float>::uniform({5, 3}, rng);
  CHECK(knn_search(x, Tensor<float>({0, 3}), {.k = 2}).indices.shape() == Shape{0, 2});
  CHECK(error_text<ValueError>([&] { knn_search(x, x, {.k = 6}); }) ==
        "knn_search: k is 6, expected 1 to 5, the number of rows of the base");
  CHECK(contains(error_text<ValueError>([&] { knn_search(x, x, {.k = 0}); }), "k is 0"));
  CHECK(contains(error_text<ValueError>([&] { knn_search(Tensor<float>({0, 3}), x); }), "the base is (0,3)"));
  CHECK(contains(error_text<ShapeError>([&] {
                   knn_search(x, Tensor<float>::zeros({5, 4}));
                 }),
                 "as many columns"));
  CHECK(contains(error_text<ShapeError>([&] { knn_search(x, Tensor<float>::zeros({5})); }), "(n,d)"));
  Tensor<float> y = x.clone();
  y.at({2, 1}) = -std::numeric_limits<float>::infinity();
  CHECK(contains(error_text<ValueError>([&] { knn_search(x, y); }), "queries has -inf in row 2, column 1"));
  y.at({2, 1}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { knn_search(y, x); }), "the base has"));
  y.at({2, 1}) = -1;
  for (const Metric metric : metrics) {
    if (takes_negative(metric)) continue;
    CHECK(
        contains(error_text<ValueError>([&] { knn_search(y, x, {.metric = metric}); }), metric_name(metric)));
    CHECK(contains(error_text<ValueError>([&] { knn_search(x, y, {.metric = metric}); }),
                   "queries has -1 in row 2"));
  }
}

TEST_CASE("knn classifier: votes, weights, ties") {
  const Tensor<float> x({6, 1}, {0, 1, 2, 10, 11, 13});
  const Tensor<std::int32_t> labels({6}, {7, 7, -3, -3, -3, 9});
  const auto predict = [&](float q, KnnClassifierOptions options) {
    return KnnClassifier(x, labels, options).predict(Tensor<float>({1, 1}, {q})).item();
  };
  CHECK(predict(0.4f, {.k = 1}) == 7);
  CHECK(predict(1.8f, {.k = 3}) == 7);                                    // 2, 1, 0: two votes against one
  CHECK(predict(1.8f, {.k = 3, .weights = KnnWeights::distance}) == -3);  // 1/0.2 against 1/0.8 + 1/1.8
  CHECK(predict(2.0f, {.k = 3, .weights = KnnWeights::distance}) == -3);  // at distance 0 nobody else votes
  CHECK(predict(1.6f, {.k = 2}) == -3);                                   // one vote each: the nearer, at 2
  CHECK(predict(1.4f, {.k = 2}) == 7);                                    // … and at 1
  CHECK(predict(12.0f, {.k = 2}) == -3);                                  // equally far: the lower row, at 11
  CHECK(predict(5.0f, {.k = 6}) == -3);
  CHECK(contains(error_text<ValueError>([&] { predict(0, {.k = 7}); }), "k is 7"));
  CHECK(contains(error_text<ShapeError>([&] {
                   KnnClassifier(x, Tensor<std::int32_t>({2}, {1, 2}));
                 }),
                 "labels is (2)"));
  CHECK(KnnClassifier(x, labels).predict(Tensor<float>({0, 1})).numel() == 0);
}

TEST_CASE("knn classifier: no distance is below 0, so that equal samples have the first say") {
  Rng rng(8);
  const auto x = Tensor<float>::uniform({60, 17}, rng);
  Tensor<std::int32_t> labels({60});
  for (Index i = 0; i < 60; ++i) labels.data()[i] = static_cast<std::int32_t>(i);
  for (const Metric metric : metrics) {
    const auto distances = knn_search(x, x, {.k = 3, .metric = metric}).distances;
    for (const float d : distances.span()) CHECK_UNARY(d >= 0);
    const KnnClassifier classifier(x, labels, {.k = 3, .metric = metric, .weights = KnnWeights::distance});
    CHECK(classifier.predict(x).to_vector() == labels.to_vector());
  }
}
