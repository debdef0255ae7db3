// Bags of visual words: sampling, assignment, histograms, pyramids, VLAD, mixtures of Gaussians and Fisher
// vectors, against plain loops and against the derivatives they stand for.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "close.hpp"
#include "tenon/bovw/fisher.hpp"
#include "tenon/bovw/histogram.hpp"
#include "tenon/bovw/normalize.hpp"
#include "tenon/bovw/pyramid.hpp"
#include "tenon/bovw/vlad.hpp"
#include "tenon/core/threads.hpp"

using namespace tenon;
using testing::contains, testing::error_text, testing::same_bits;

namespace {

Tensor<float> random(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed);
  return Tensor<float>::normal(shape, rng);
}

// (n,2): clouds of deviation 0.3 around (0,0) and (5,-3), 3 points of the first for 1 of the second.
Tensor<float> two_clouds(Index n) {
  Tensor<float> x = random({n, 2}, 4);
  for (Index i = 0; i < n; ++i) {
    x.data()[2 * i] = 0.3f * x.data()[2 * i] + (i % 4 == 3 ? 5.0f : 0.0f);
    x.data()[2 * i + 1] = 0.3f * x.data()[2 * i + 1] - (i % 4 == 3 ? 3.0f : 0.0f);
  }
  return x;
}

Gmm small_gmm() {
  return {Tensor<float>({3}, {0.5f, 0.2f, 0.3f}), Tensor<float>({3, 2}, {0, 0, 1, 2, -1.5f, 0.5f}),
          Tensor<float>({3, 2}, {1, 0.5f, 0.8f, 2, 0.6f, 0.9f})};
}

// The mean log-likelihood of the points, in double.
double log_likelihood(const std::vector<double>& weights, const std::vector<double>& means,
                      const std::vector<double>& deviations, const Tensor<float>& x) {
  const Index d = x.size(1);
  double total = 0;
  for (Index i = 0; i < x.size(0); ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      double p = weights[k];
      for (Index j = 0; j < d; ++j) {
        const auto at = static_cast<std::size_t>(static_cast<Index>(k) * d + j);
        const double z = (x.data()[i * d + j] - means[at]) / deviations[at];
        p *= std::exp(-z * z / 2) / (deviations[at] * std::sqrt(2 * 3.14159265358979323846));
      }
      sum += p;
    }
    total += std::log(sum) / static_cast<double>(x.size(0));
  }
  return total;
}

}  // namespace

TEST_CASE("bovw: rows are normalised, zeros stay") {
  Tensor<float> x({2, 2}, {3, -4, 0, 0});
  auto l1 = Tensor<float>({2, 2}, {1, -3, 0, 0}), l2 = x.clone(), root = x.clone(),
       one = Tensor<float>({2}, {6, 8});
  l1_normalize_(l1);
  l2_normalize_(l2);
  power_normalize_(root);
  l2_normalize_(one);
  CHECK(l1.to_vector() == std::vector<float>{0.25f, -0.75f, 0, 0});
  CHECK(l2.to_vector() == std::vector<float>{0.6f, -0.8f, 0, 0});
  CHECK(root.to_vector() == std::vector<float>{std::sqrt(3.0f), -2, 0, 0});
  CHECK(one.to_vector() == std::vector<float>{0.6f, 0.8f});
  CHECK(contains(error_text<ValueError>([&] { power_normalize_(x, 0); }), "power is 0"));
}

TEST_CASE("bovw: sampled rows are distinct rows, the same for the same seed") {
  std::vector<Tensor<float>> sets;
  for (int s = 0; s < 3; ++s) {
    sets.push_back(Tensor<float>({10, 1}));
    for (int i = 0; i < 10; ++i) sets.back().data()[i] = static_cast<float>(10 * s + i);
  }
  sets.push_back(Tensor<float>({0, 1}));
  Rng a(1), b(1), c(2);
  const auto x = sample_rows(sets, 12, a), y = sample_rows(sets, 12, b), z = sample_rows(sets, 12, c);
  const auto values = x.to_vector();
  CHECK(std::set<float>(values.begin(), values.end()).size() == 12);
  CHECK(same_bits(x, y));
  CHECK(!same_bits(x, z));
  CHECK(sample_rows(sets, 1000, a).size(0) == 30);
  CHECK(contains(error_text<ValueError>([&] { sample_rows({}, 3, a); }), "of 0 rows"));
}

TEST_CASE("bovw: the nearest words are those of a plain loop") {
  const auto words = random({37, 9}, 1), x = random({2500, 9}, 2);
  const Vocabulary vocabulary(words);
  const auto hard = vocabulary.assign(x), soft = vocabulary.assign(x, {.nearest = 3, .softness = 0.7});
  Index wrong = 0;
  for (Index i = 0; i < x.size(0); ++i) {
    std::vector<std::pair<double, Index>> near;
    for (Index k = 0; k < 37; ++k) {
      double sum = 0;
      for (Index j = 0; j < 9; ++j)
        sum += std::pow(static_cast<double>(x.data()[i * 9 + j]) - words.data()[k * 9 + j], 2);
      near.push_back({sum, k});
    }
    std::sort(near.begin(), near.end());
    wrong += hard.words.data()[i] != near[0].second || hard.weights.data()[i] != 1;
    double total = 0;
    for (std::size_t j = 0; j < 3; ++j) total += std::exp(-(near[j].first - near[0].first) / (2 * 0.49));
    for (std::size_t j = 0; j < 3; ++j) {
      const auto at = 3 * i + static_cast<Index>(j);
      const double weight = std::exp(-(near[j].first - near[0].first) / (2 * 0.49)) / total;
      wrong +=
          soft.words.data()[at] != near[j].second || !(std::abs(soft.weights.data()[at] - weight) <= 1e-4);
    }
  }
  CHECK(wrong == 0);
  CHECK(vocabulary.assign(Tensor<float>({0, 9})).words.size(0) == 0);
  CHECK(contains(error_text<ShapeError>([&] { vocabulary.assign(random({3, 8}, 1)); }), "the words have 9"));
  CHECK(contains(error_text<ValueError>([&] { vocabulary.assign(x, {.nearest = 38}); }), "nearest is 38"));
}

TEST_CASE("bovw: equally near words go by their number, NaN harms nobody else") {
  const Vocabulary vocabulary(Tensor<float>({3, 1}, {1, 1, -1}));
  CHECK(vocabulary.assign(Tensor<float>({2, 1}, {2, -2})).words.to_vector() ==
        std::vector<std::int32_t>{0, 2});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto a = vocabulary.assign(Tensor<float>({2, 1}, {nan, -2}), {.nearest = 2});
  for (const std::int32_t w : a.words.span()) CHECK((w >= 0 && w < 3));
  CHECK(a.words.data()[2] == 2);
}

TEST_CASE("bovw: a vocabulary of clouds has their centres as words") {
  Rng rng(1);
  const Vocabulary v = build_vocabulary(two_clouds(400), {.words = 2}, rng);
  const Index far = v.word(0)[0] > 2 ? 0 : 1;
  CHECK(!(std::abs(v.word(far)[0] - 5) > 0.15f));
  CHECK(!(std::abs(v.word(far)[1] + 3) > 0.15f));
  CHECK(!(std::abs(v.word(1 - far)[0]) > 0.15f));
}

TEST_CASE("bovw: histograms count, tf-idf weighs") {
  const Assignment a{Tensor<std::int32_t>({3, 2}, {0, 1, 1, 2, 1, 0}),
                     Tensor<float>({3, 2}, {0.5f, 0.5f, 0.75f, 0.25f, 1, 0})};
  CHECK(word_histogram(a, 4).to_vector() == std::vector<float>{0.5f, 2.25f, 0.25f, 0});
  const Index last[] = {2};
  CHECK(word_histogram(a, last, 4).to_vector() == std::vector<float>{0, 1, 0, 0});
  CHECK(contains(error_text<ValueError>([&] { word_histogram(a, 2); }), "word 2 of 2"));
  Tensor<float> h({2, 3}, {1, 2, 0, 3, 0, 0});
  const auto idf = inverse_document_frequency(h);
  CHECK(idf.data()[0] == 0);
  CHECK(idf.data()[1] == doctest::Approx(std::log(2.0)));
  CHECK(idf.data()[2] == 0);
  apply_tf_idf_(h, idf);
  CHECK(h.data()[1] == doctest::Approx(2 * std::log(2.0)));
  CHECK(h.data()[3] == 0);
}

TEST_CASE("bovw: the cells of a pyramid and their weights") {
  CHECK(pyramid_cells(0) == 1);
  CHECK(pyramid_cells(2) == 21);
  const std::vector<Place> places = {
      {0, 0}, {0.99f, 0}, {0.3f, 0.8f}, {1, 1}, {7, std::numeric_limits<float>::quiet_NaN()}};
  const auto rows = pyramid_rows(std::span(places).first(4), 2);
  CHECK(rows[0] == std::vector<Index>{0, 1, 2, 3});
  CHECK(rows[1] == std::vector<Index>{0});
  CHECK(rows[2] == std::vector<Index>{1});
  CHECK(rows[3] == std::vector<Index>{2});
  CHECK(rows[4] == std::vector<Index>{3});
  CHECK(rows[5] == std::vector<Index>{0});
  CHECK(rows[8] == std::vector<Index>{1});
  CHECK(rows[5 + 3 * 4 + 1] == std::vector<Index>{2});
  CHECK(rows[20] == std::vector<Index>{3});
  Index all = 0;
  for (const auto& cell : pyramid_rows(places, 2)) all += static_cast<Index>(cell.size());
  CHECK(all == 15);
  const auto counts = encode_pyramid(std::span(places).first(4), 1, [](std::span<const Index> cell) {
    return Tensor<float>({1}, {static_cast<float>(cell.size())});
  });
  CHECK(counts.to_vector() == std::vector<float>{2, 0.5f, 0.5f, 0.5f, 0.5f});
  CHECK(pyramid_weight(0, 2) == 0.25);
  CHECK(pyramid_weight(1, 2) == 0.25);
  CHECK(pyramid_weight(2, 2) == 0.5);
  CHECK(contains(error_text<ValueError>([] { pyramid_cells(7); }), "7 levels"));
}

TEST_CASE("bovw: VLAD sums what differs from the words") {
  const Vocabulary v(Tensor<float>({2, 2}, {0, 0, 10, 10}));
  const Tensor<float> x({3, 2}, {1, 0, 2, 0, 10, 13});
  const auto a = v.assign(x);
  const std::vector<Index> all = {0, 1, 2}, none;
  const auto plain = vlad(x, a, all, v, {.intra = false});
  const float norm = std::sqrt(18.0f);
  const Tensor<float> expected({4}, {3 / norm, 0, 0, 3 / norm});
  CHECK(!(testing::error_of(plain, expected) > 1e-6));
  const auto intra = vlad(x, a, all, v);
  CHECK(!(testing::error_of(intra, Tensor<float>({4}, {std::sqrt(0.5f), 0, 0, std::sqrt(0.5f)})) > 1e-6));
  CHECK(vlad(x, a, none, v).to_vector() == std::vector<float>(4, 0.0f));
}

TEST_CASE("bovw: a mixture finds its clouds, the same for any number of threads") {
  const auto x = two_clouds(6000);
  Rng rng(3), again(3);
  const Gmm g = fit_gmm(x, {.components = 2, .iterations = 30}, rng);
  const Index far = g.means.data()[0] > 2 ? 0 : 1;
  CHECK(g.weights.data()[far] == doctest::Approx(0.25).epsilon(0.02));
  CHECK(g.means.data()[2 * far] == doctest::Approx(5).epsilon(0.02));
  CHECK(g.variances.data()[2 * far] == doctest::Approx(0.09).epsilon(0.1));
  CHECK(g.variances.data()[2 * (1 - far) + 1] == doctest::Approx(0.09).epsilon(0.1));
  const int threads = thread_count();
  set_thread_count(threads == 1 ? 2 : 1);
  const Gmm other = fit_gmm(x, {.components = 2, .iterations = 30}, again);
  set_thread_count(threads);
  CHECK(same_bits(g.means, other.means));
  CHECK(same_bits(g.variances, other.variances));
  CHECK(contains(error_text<ValueError>([&] { fit_gmm(two_clouds(3), {.components = 4}, rng); }),
                 "4 components for 3 points"));
}

TEST_CASE("bovw: a mixture survives points that are all the same, and one point a component") {
  Rng rng(3);
  const Gmm g = fit_gmm(Tensor<float>::full({50, 3}, 2), {.components = 4}, rng);
  for (const float v : g.variances.span()) CHECK((v > 0 && std::isfinite(v)));
  for (const float v : g.means.span()) CHECK(v == doctest::Approx(2));
  const auto v = FisherEncoder(g)(Tensor<float>::full({5, 3}, 2));
  for (const float e : v.span()) CHECK(std::isfinite(e));
  const Gmm few = fit_gmm(random({4, 3}, 1), {.components = 4}, rng);
  for (const float e : few.means.span()) CHECK(std::isfinite(e));
}

TEST_CASE("bovw: Fisher vectors are the derivatives of the log-likelihood") {
  const Gmm g = small_gmm();
  const auto x = random({60, 2}, 8);
  const auto v = FisherEncoder(g)(x, {.power = 1, .normalize = false});
  std::vector<double> weights, means, deviations;
  for (const float w : g.weights.span()) weights.push_back(w);
  for (const float m : g.means.span()) means.push_back(m);
  for (const float s : g.variances.span()) deviations.push_back(std::sqrt(static_cast<double>(s)));
  constexpr double h = 1e-4;
  bool any = false;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto slope = [&](std::vector<double>& parameters) {
      const double kept = parameters[i];
      parameters[i] = kept + h;
      const double up = log_likelihood(weights, means, deviations, x);
      parameters[i] = kept - h;
      const double down = log_likelihood(weights, means, deviations, x);
      parameters[i] = kept;
      return (up - down) / (2 * h);
    };
    const double by_mean = slope(means) * deviations[i] / std::sqrt(weights[i / 2]);
    const double by_deviation = slope(deviations) * deviations[i] / std::sqrt(2 * weights[i / 2]);
    CHECK(!(std::abs(v.data()[i] - by_mean) > 1e-4));
    CHECK(!(std::abs(v.data()[6 + i] - by_deviation) > 1e-4));
    any = any || std::abs(by_mean) > 0.01;
  }
  CHECK(any);
}

TEST_CASE("bovw: Fisher vectors have length 1, and those of nothing are zero") {
  const FisherEncoder encode(small_gmm());
  const auto x = random({20, 2}, 9);
  double square = 0;
  const auto v = encode(x);
  for (const float e : v.span()) square += static_cast<double>(e) * e;
  CHECK(square == doctest::Approx(1));
  CHECK(encode(Tensor<float>({0, 2})).to_vector() == std::vector<float>(12, 0.0f));
  const std::vector<Index> some = {3, 7};
  Tensor<float> two({2, 2}, {x.data()[6], x.data()[7], x.data()[14], x.data()[15]});
  CHECK(same_bits(encode(x, some), encode(two)));
  CHECK(contains(error_text<ShapeError>([&] { encode(random({3, 5}, 1)); }), "the mixture has 2"));
}
