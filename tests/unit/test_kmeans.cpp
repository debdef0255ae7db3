// k-means against plain loops, its starts, its empty clusters and its edge cases.
#include <algorithm>
#include <numeric>
#include <set>

#include "close.hpp"
#include "each_isa.hpp"
#include "tenon/cluster/kmeans.hpp"
#include "tenon/cluster/mini_batch.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::contains;
using testing::error_text;
using testing::same_bits;
using testing::ThreadScope;

namespace {

// Lloyd's iteration in double, by plain loops; every cluster must keep a point.
struct PlainResult {
  std::vector<double> centers;
  std::vector<std::int32_t> labels;
  double inertia = 0;
};

PlainResult plain_lloyd(const Tensor<float>& x, const Tensor<float>& start, int iterations) {
  const Index n = x.size(0), d = x.size(1), k = start.size(0);
  PlainResult r;
  r.centers.assign(start.span().begin(), start.span().end());
  r.labels.resize(static_cast<std::size_t>(n));
  for (int it = 0; it <= iterations; ++it) {
    r.inertia = 0;
    for (Index i = 0; i < n; ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (Index c = 0; c < k; ++c) {
        double sum = 0;
        for (Index p = 0; p < d; ++p) {
          const double t =
              static_cast<double>(x.data()[i * d + p]) - r.centers[static_cast<std::size_t>(c * d + p)];
          sum += t * t;
        }
        if (sum < least) {
          least = sum;
          r.labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(c);
        }
      }
      r.inertia += least;
    }
    if (it == iterations) break;
    std::vector<double> sum(r.centers.size()), count(static_cast<std::size_t>(k));
    for (Index i = 0; i < n; ++i) {
      const auto c = static_cast<std::size_t>(r.labels[static_cast<std::size_t>(i)]);
      count[c] += 1;
      for (Index p = 0; p < d; ++p) {
        sum[c * static_cast<std::size_t>(d) + static_cast<std::size_t>(p)] +=
            static_cast<double>(x.data()[i * d + p]);
      }
    }
    for (std::size_t j = 0; j < sum.size(); ++j) {
      REQUIRE(count[j / static_cast<std::size_t>(d)] > 0);
      r.centers[j] = sum[j] / count[j / static_cast<std::size_t>(d)];
    }
  }
  return r;
}

// Groups of points around `groups` places, `spread` wide.
Tensor<float> blobs(Index n, Index d, Index groups, double spread, Rng& rng, double offset = 0) {
  const auto places = Tensor<float>::uniform({groups, d}, rng, -10, 10);
  Tensor<float> x({n, d});
  for (Index i = 0; i < n; ++i) {
    for (Index p = 0; p < d; ++p) {
      const auto place = static_cast<double>(places.data()[i % groups * d + p]);
      x.data()[i * d + p] = static_cast<float>(place + spread * rng.normal() + offset);
    }
  }
  return x;
}

Tensor<float> constant(const Shape& shape, float value) { return Tensor<float>::full(shape, value); }

}  // namespace

TEST_CASE("kmeans: Lloyd's iteration agrees with plain loops at odd sizes") {
  struct Case {
    Index n, d, k;
  };
  for (const Case c :
       {Case{1, 1, 1}, {7, 3, 2}, {33, 1, 5}, {257, 17, 15}, {501, 128, 29}, {300, 259, 3}, {130, 600, 17}}) {
    CAPTURE(c.n);
    CAPTURE(c.d);
    Rng rng(static_cast<std::uint64_t>(c.n));
    const auto x = blobs(c.n, c.d, c.k, 3, rng);
    const auto start = x.rows(0, c.k).clone();
    for (const auto algorithm : {KMeansAlgorithm::lloyd, KMeansAlgorithm::hamerly}) {
      for (const int iterations : {0, 1, 6}) {
        const auto expected = plain_lloyd(x, start, iterations);
        const auto found = kmeans(x,
                                  {.k = c.k,
                                   .centers = start,
                                   .max_iterations = iterations,
                                   .tolerance = 0,
                                   .algorithm = algorithm},
                                  rng);
        CHECK(found.labels.to_vector() == expected.labels);
        CHECK(!(std::abs(found.inertia - expected.inertia) > 1e-5 * expected.inertia + 1e-12));
        Tensor<float> centers(start.shape());
        for (Index i = 0; i < centers.numel(); ++i)
          centers.data()[i] = static_cast<float>(expected.centers[static_cast<std::size_t>(i)]);
        CHECK(!(testing::error_of(found.centers, centers) > 1e-6));
      }
    }
  }
}

TEST_CASE("kmeans: the same bits with bounds or without, kept panels or not, one thread or more") {
  Rng make(5);
  for (const double spread : {0.1, 2.0, 30.0}) {
    const auto x = blobs(4003, 19, 40, spread, make);
    const auto fit = [&](KMeansAlgorithm algorithm, Index keep, int threads, KMeansInit init) {
      const ThreadScope scope(threads);
      Rng rng(3);
      return kmeans(x, {.k = 37, .init = init, .tolerance = 0, .algorithm = algorithm, .keep_bytes = keep},
                    rng);
    };
    for (const auto init :
         {KMeansInit::random, KMeansInit::plus_plus, KMeansInit::greedy_plus_plus, KMeansInit::parallel}) {
      const auto a = fit(KMeansAlgorithm::lloyd, 1 << 30, 1, init);
      for (const auto& b :
           {fit(KMeansAlgorithm::hamerly, 1 << 30, 1, init), fit(KMeansAlgorithm::hamerly, 0, 2, init),
            fit(KMeansAlgorithm::lloyd, 0, 2, init), fit(KMeansAlgorithm::lloyd, 1 << 30, 3, init)}) {
        CHECK(same_bits(a.centers, b.centers));
        CHECK(same_bits(a.labels, b.labels));
        CHECK(a.inertia == b.inertia);
        CHECK(a.iterations == b.iterations);
      }
      CHECK(a.iterations >= 1);
    }
  }
}

TEST_CASE("kmeans: every instruction set of this processor finds the same labels") {
  Rng make(15);
  const auto x = blobs(301, 259, 9, 3, make);
  const auto start = x.rows(0, 9).clone();
  const auto expected = plain_lloyd(x, start, 4);
  testing::each_isa([&](auto isa, const char* name) {
    CAPTURE(name);
    using Isa = decltype(isa);
    const cluster::Points points(x);
    const cluster::Panels<Isa> panels(points, 0);
    Rng rng(1);
    const KMeansOptions options{.k = 9, .centers = start, .max_iterations = 4, .tolerance = 0};
    CHECK(cluster::run<Isa>(x, panels, options, rng).labels.to_vector() == expected.labels);
    const auto seeds = cluster::plus_plus<Isa>(panels, {}, 9, 4, rng);
    CHECK(std::set<Index>(seeds.begin(), seeds.end()).size() == 9);
  });
}

TEST_CASE("kmeans: separated groups are found by every start but the random one") {
  Rng rng(11);
  const auto x = blobs(2000, 8, 20, 0.05, rng);
  for (const auto init : {KMeansInit::automatic, KMeansInit::greedy_plus_plus, KMeansInit::parallel}) {
    const auto r = kmeans(x, {.k = 20, .init = init, .restarts = 3}, rng);
    CHECK(!(r.inertia > 2000 * 8 * 0.05 * 0.05 * 1.1));
    for (Index i = 20; i < 2000; ++i) CHECK(r.labels.data()[i] == r.labels.data()[i - 20]);
  }
  const auto mini = kmeans_mini_batch(x, {.k = 20, .batch = 100, .epochs = 10}, rng);
  CHECK(!(mini.inertia > 2000 * 8 * 0.05 * 0.05 * 1.2));
}

TEST_CASE("kmeans: restarts keep the best, tolerance stops early, labels belong to the centres") {
  Rng rng(2);
  const auto x = blobs(700, 5, 12, 2, rng);
  Rng a(9), b(9);
  const double one = kmeans(x, {.k = 12, .init = KMeansInit::random, .tolerance = 0}, a).inertia;
  const auto many = kmeans(x, {.k = 12, .init = KMeansInit::random, .restarts = 8, .tolerance = 0}, b);
  CHECK(many.inertia <= one);
  const auto loose = kmeans(x, {.k = 12, .tolerance = 0.5}, rng);
  CHECK(loose.iterations < kmeans(x, {.k = 12, .tolerance = 0}, rng).iterations);
  for (const auto& r : {many, loose}) {
    for (Index i = 0; i < 700; ++i) {
      CHECK(r.labels.data()[i] ==
            cluster::nearest_center_reference(x.data() + i * 5, r.centers.data(), 12, 5));
    }
  }
}

TEST_CASE("kmeans: data far from the origin, huge and tiny data") {
  Rng rng(4);
  const auto x = blobs(900, 16, 6, 0.5, rng);
  Rng first(1);
  const auto plain = kmeans(x, {.k = 6, .tolerance = 0}, first);
  for (const float factor : {0x1p100f, 0x1p-100f}) {
    Tensor<float> scaled(x.shape());
    for (Index i = 0; i < x.numel(); ++i) scaled.data()[i] = x.data()[i] * factor;
    Rng again(1);
    const auto r = kmeans(scaled, {.k = 6, .tolerance = 0}, again);
    CHECK(same_bits(r.labels, plain.labels));
  }
  // Centres out of all proportion to the points.
  const Tensor<float> near({4, 1}, {1e-25f, 2e-25f, 3e-25f, -1e-25f});
  CHECK(nearest_centers(near, Tensor<float>({2, 1}, {2, -1})).to_vector() ==
        std::vector<std::int32_t>{1, 1, 1, 1});
  const Tensor<float> away({3, 1}, {3e38f, 1e-25f, -3e38f});
  CHECK(kmeans(x, {.k = 2, .centers = Tensor<float>::full({2, 16}, 3e38f)}, rng).inertia < 1e7);
  CHECK(nearest_centers(near, away).to_vector() == std::vector<std::int32_t>{1, 1, 1, 1});
  const auto far = blobs(900, 16, 6, 0.5, rng, 1e5);
  const auto r = kmeans(far, {.k = 6, .restarts = 3, .tolerance = 0}, rng);
  for (Index i = 6; i < 900; ++i) CHECK(r.labels.data()[i] == r.labels.data()[i - 6]);
}

TEST_CASE("kmeans: k-means++ never draws a point twice while others are left") {
  Rng rng(6);
  Tensor<float> x({60, 3});  // twenty different points, three times each
  const auto distinct = Tensor<float>::uniform({20, 3}, rng);
  for (Index i = 0; i < 180; ++i) x.data()[i] = distinct.data()[i % 60];
  for (const auto init : {KMeansInit::plus_plus, KMeansInit::greedy_plus_plus}) {
    const auto r = kmeans(x, {.k = 20, .init = init, .max_iterations = 0}, rng);
    CHECK(!(r.inertia > 1e-10));
  }
}

TEST_CASE("kmeans: greedy k-means++ starts better than plain, plain better than random") {
  Rng rng(8);
  const auto x = blobs(3000, 4, 60, 0.3, rng);
  const auto start = [&](KMeansInit init) {
    double sum = 0;
    for (int i = 0; i < 5; ++i) sum += kmeans(x, {.k = 60, .init = init, .max_iterations = 0}, rng).inertia;
    return sum;
  };
  const double random = start(KMeansInit::random), plain = start(KMeansInit::plus_plus);
  CHECK(plain < random);
  CHECK(start(KMeansInit::greedy_plus_plus) < plain);
  CHECK(start(KMeansInit::parallel) < random);
}

TEST_CASE("kmeans: an empty cluster takes the farthest point") {
  const Tensor<float> x({5, 1}, {0, 1, 2, 3, 100});
  Rng rng(1);
  // All points are nearer to the first centre than to the second; 100 is farthest from it.
  const auto r = kmeans(x, {.k = 2, .centers = Tensor<float>({2, 1}, {1, 1000})}, rng);
  CHECK(r.labels.to_vector() == std::vector<std::int32_t>{0, 0, 0, 0, 1});
  CHECK(r.centers.to_vector() == std::vector<float>{1.5f, 100});
  // Two empty ones: the farthest two points, the first of equally far ones first.
  const Tensor<float> y({4, 1}, {-4, 0, 1, 4});
  const auto s = kmeans(y, {.k = 3, .centers = Tensor<float>({3, 1}, {0, 500, 600})}, rng);
  CHECK(s.labels.to_vector() == std::vector<std::int32_t>{1, 0, 0, 2});
  for (const auto algorithm : {KMeansAlgorithm::lloyd, KMeansAlgorithm::hamerly}) {
    const auto t = kmeans(x, {.k = 3, .centers = constant({3, 1}, 7), .algorithm = algorithm}, rng);
    CHECK(!(t.inertia > 0.5 + 2.0));
    const auto labels = t.labels.to_vector();
    CHECK(std::set<std::int32_t>(labels.begin(), labels.end()).size() == 3);
  }
}

TEST_CASE("kmeans: constant data, fewer different points than clusters, k = n, k = 1") {
  Rng rng(3);
  for (const auto init :
       {KMeansInit::random, KMeansInit::plus_plus, KMeansInit::greedy_plus_plus, KMeansInit::parallel}) {
    for (const auto algorithm : {KMeansAlgorithm::lloyd, KMeansAlgorithm::hamerly}) {
      const auto r = kmeans(constant({50, 4}, 0.1f), {.k = 7, .init = init, .algorithm = algorithm}, rng);
      CHECK(r.inertia == 0);
      CHECK(same_bits(r.centers, constant({7, 4}, 0.1f)));
      CHECK(same_bits(r.labels, Tensor<std::int32_t>::zeros({50})));
      Tensor<float> two = constant({9, 2}, 1);
      two.data()[10] = 5;
      CHECK(!(kmeans(two, {.k = 4, .init = init, .algorithm = algorithm}, rng).inertia > 1e-12));
      const auto all = Tensor<float>::uniform({11, 3}, rng);
      CHECK(!(kmeans(all, {.k = 11, .init = init, .algorithm = algorithm}, rng).inertia > 1e-9));
    }
  }
  const Tensor<float> x({4, 1}, {1, 2, 3, 6});
  const auto one = kmeans(x, {.k = 1}, rng);
  CHECK(one.centers.item() == 3);
  CHECK(one.inertia == doctest::Approx(14));
  CHECK(kmeans_mini_batch(constant({50, 4}, 0.1f), {.k = 7, .batch = 8}, rng).inertia == 0);
}

TEST_CASE("kmeans: mini-batch comes near Lloyd and does not depend on the threads") {
  Rng make(12);
  const auto x = blobs(5000, 11, 15, 2, make);
  Rng rng(1);
  const double lloyd = kmeans(x, {.k = 15}, rng).inertia;
  const auto fit = [&](int threads) {
    const ThreadScope scope(threads);
    Rng own(2);
    return kmeans_mini_batch(x, {.k = 15, .batch = 200, .epochs = 5}, own);
  };
  const auto a = fit(1), b = fit(2);
  CHECK(!(a.inertia > 1.1 * lloyd));
  CHECK(a.iterations == 125);
  CHECK(same_bits(a.centers, b.centers));
  CHECK(same_bits(a.labels, b.labels));
}

TEST_CASE("nearest_centers agrees with plain loops") {
  Rng rng(21);
  const auto x = Tensor<float>::normal({77, 31}, rng), centers = Tensor<float>::normal({45, 31}, rng);
  const auto labels = nearest_centers(x, centers);
  for (Index i = 0; i < 77; ++i) {
    CHECK(labels.data()[i] == cluster::nearest_center_reference(x.data() + i * 31, centers.data(), 45, 31));
  }
  CHECK(nearest_centers(Tensor<float>({0, 31}), centers).numel() == 0);
  CHECK(contains(error_text<ShapeError>([&] {
                   nearest_centers(x, Tensor<float>::zeros({45, 30}));
                 }),
                 "(k,31)"));
}

TEST_CASE("kmeans: errors say what is wrong") {
  Rng rng(1);
  const auto x = Tensor<float>::uniform({5, 3}, rng);
  CHECK(error_text<ValueError>([&] { kmeans(x, {.k = 6}, rng); }) ==
        "kmeans: k is 6, expected 1 to 5, the number of rows of x");
  CHECK(contains(error_text<ValueError>([&] { kmeans(x, {.k = 0}, rng); }), "k is 0"));
  CHECK(contains(error_text<ValueError>([&] {
                   kmeans(Tensor<float>({0, 3}), {.k = 1}, rng);
                 }),
                 "expected 1 to 0"));
  CHECK(contains(error_text<ShapeError>([&] { kmeans(Tensor<float>::zeros({5}), {.k = 1}, rng); }), "(n,d)"));
  CHECK(contains(error_text<ShapeError>([&] { kmeans(Tensor<float>({5, 0}), {.k = 1}, rng); }), "(n,d)"));
  CHECK(contains(error_text<ShapeError>([&] { kmeans(x, {.k = 2, .centers = x}, rng); }), "expected (2,3)"));
  CHECK(contains(error_text<ValueError>([&] { kmeans(x, {.k = 2, .restarts = 0}, rng); }), "restarts"));
  CHECK(contains(error_text<ValueError>([&] { kmeans_mini_batch(x, {.k = 2, .batch = 0}, rng); }),
                 "batch is 0"));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor<float> y = x.clone();
    y.at({3, 1}) = bad;
    const auto message = error_text<ValueError>([&] { kmeans(y, {.k = 2}, rng); });
    CHECK(contains(message, "in row 3, column 1"));
    CHECK(contains(error_text<ValueError>([&] { kmeans(x, {.k = 5, .centers = y}, rng); }), "centers has"));
  }
}
