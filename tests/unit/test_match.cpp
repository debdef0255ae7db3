// Matching against plain loops over all pairs.
#include <cmath>
#include <cstdint>
#include <limits>

#include "tenon/features/match.hpp"
#include "unit/close.hpp"
#include "unit/threads_scope.hpp"

using namespace tenon;
using tenon::testing::contains;
using tenon::testing::error_text;

namespace {

double distance(const Tensor<float>& a, Index i, const Tensor<float>& b, Index j) {
  double sum = 0;
  for (Index k = 0; k < a.size(1); ++k) {
    const double d = static_cast<double>(a.at({i, k})) - static_cast<double>(b.at({j, k}));
    sum += d * d;
  }
  return std::sqrt(sum);
}

std::vector<Match> plain_matches(const Tensor<float>& a, const Tensor<float>& b,
                                 const MatchOptions& options) {
  const auto nearest = [](const Tensor<float>& x, Index i, const Tensor<float>& y) {
    Index best = 0;
    for (Index j = 1; j < y.size(0); ++j) {
      if (distance(x, i, y, j) < distance(x, i, y, best)) best = j;
    }
    return best;
  };
  std::vector<Match> matches;
  for (Index i = 0; i < a.size(0); ++i) {
    const Index j = nearest(a, i, b);
    if (options.mutual && nearest(b, j, a) != i) continue;
    double second = std::numeric_limits<double>::infinity();
    for (Index k = 0; k < b.size(0); ++k) {
      if (k != j) second = std::min(second, distance(a, i, b, k));
    }
    const double d = distance(a, i, b, j);
    if ((options.ratio < 1 && !(d < options.ratio * second)) || d > options.distance) continue;
    matches.push_back({i, j, static_cast<float>(d)});
  }
  return matches;
}

}  // namespace

TEST_CASE("match_descriptors finds what plain loops find") {
  Rng rng(3);
  const auto a = Tensor<float>::uniform({70, 11}, rng), b = Tensor<float>::uniform({45, 11}, rng);
  for (const MatchOptions& options :
       {MatchOptions{}, MatchOptions{.ratio = 1}, MatchOptions{.ratio = 0.95, .mutual = false},
        MatchOptions{.ratio = 1, .mutual = false, .distance = 0.7}}) {
    const auto expected = plain_matches(a, b, options);
    CHECK(match_descriptors(a, b, options) == expected);
  }
  CHECK(plain_matches(a, b, {.ratio = 1}).size() > 10);
  CHECK(plain_matches(a, b, {.ratio = 0.95, .mutual = false}).size() < 70);
}

TEST_CASE("match_descriptors over several blocks, any number of threads") {
  Rng rng(4);
  const auto a = Tensor<float>::uniform({1300, 16}, rng);
  Tensor<float> b({1300, 16});  // a backwards
  for (Index i = 0; i < 1300; ++i) std::copy_n(a.data() + i * 16, 16, b.data() + (1299 - i) * 16);
  const testing::ThreadScope threads(3);
  const auto matches = match_descriptors(a, b, {.ratio = 0.9});
  REQUIRE(matches.size() == 1300);
  for (const Match& m : matches) {
    CHECK(m.b == 1299 - m.a);
    CHECK(m.distance == 0);
  }
}

TEST_CASE("match_descriptors of few rows, and what it refuses") {
  const Tensor<float> none({0, 4}), one = Tensor<float>::ones({1, 4});
  CHECK(match_descriptors(none, one).empty());
  CHECK(match_descriptors(one, none).empty());
  CHECK(match_descriptors(one, one) == std::vector<Match>{{0, 0, 0.0f}});
  CHECK(contains(error_text<ShapeError>([&] {
                   match_descriptors(one, Tensor<float>::ones({1, 5}));
                 }),
                 "(1,5)"));
  auto broken = one.clone();
  broken.at({0, 2}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { match_descriptors(one, broken); }), "row 0"));
}
