// The generator: published answers, the streams it makes, and their distribution.
#include <algorithm>
#include <cmath>
#include <vector>

#include "close.hpp"
#include "tenon/core/random.hpp"

using namespace tenon;

TEST_CASE("philox: the known answers published with the paper") {
  CHECK(philox(0, 0, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  CHECK(philox(ones, ones, ones) == PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  // Counter and key from the digits of pi.
  CHECK(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e) ==
        PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  static_assert(philox(0, 0, 0)[0] == 0x6627e8d5);
}

TEST_CASE("rng: a stream is a function of seed, stream and position") {
  Rng a(7), b(7), other_stream(7, 1), other_seed(8);
  const auto first = a.bits();
  CHECK(first == b.bits());
  CHECK(first != other_stream.bits());
  CHECK(first != other_seed.bits());
  const RngState saved = a.state();
  const std::vector<double> next{a.uniform(), a.normal(), a.uniform(-2, 3)};
  Rng resumed(saved);
  CHECK(next == std::vector<double>{resumed.uniform(), resumed.normal(), resumed.uniform(-2, 3)});
  CHECK(resumed.state() == a.state());
}

TEST_CASE("rng: fork depends on the seed, the stream and the index alone") {
  Rng a(7);
  const Rng before = a.fork(3);
  a.bits();
  CHECK(before.state() == a.fork(3).state());
  CHECK(before.state() != a.fork(4).state());
  CHECK(before.state() != Rng(8).fork(3).state());
  CHECK(before.state() != Rng(7, 1).fork(3).state());
}

TEST_CASE("rng: reserve_blocks starts at a whole block and never overlaps") {
  Rng rng(1);
  rng.bits();
  CHECK(rng.reserve_blocks(5) == 1);
  CHECK(rng.state().position == 12);
  CHECK(rng.reserve_blocks(4) == 3);
  CHECK(rng.bits() == philox(1, 4, 0)[0]);
}

TEST_CASE("rng: uniform and normal have the moments they should") {
  Rng rng(3);
  constexpr int n = 200000;
  double sum = 0, squares = 0, low = 1, high = 0, normal_sum = 0, normal_squares = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform(), z = rng.normal();
    sum += u;
    squares += u * u;
    low = std::min(low, u);
    high = std::max(high, u);
    normal_sum += z;
    normal_squares += z * z;
    fourth += z * z * z * z;
  }
  // Each bound is about five standard deviations of its mean.
  CHECK(std::abs(sum / n - 0.5) < 5 * 0.2887 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * 0.298 / std::sqrt(n));
  CHECK(low >= 0);
  CHECK(high < 1);
  CHECK(std::abs(normal_sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(normal_squares / n - 1) < 5 * 1.4142 / std::sqrt(n));
  CHECK(std::abs(fourth / n - 3) < 5 * 9.8 / std::sqrt(n));
}

TEST_CASE("rng: below is fair and stays in range") {
  Rng rng(4);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[static_cast<std::size_t>(rng.below(7))];
  double chi2 = 0;
  for (const int c : counts) chi2 += (c - 10000.0) * (c - 10000.0) / 10000;
  CHECK(chi2 < 27.9);  // six degrees of freedom, one in 10^4
  CHECK(rng.below(1) == 0);
  CHECK_THROWS_AS(rng.below(0), ValueError);
  CHECK_THROWS_AS(rng.below(Index{1} << 32), ValueError);
}

TEST_CASE("rng: permutation holds each number once") {
  Rng rng(5);
  auto order = rng.permutation(1000);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (Index i = 0; i < 1000; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
  CHECK(rng.permutation(0).empty());
}

TEST_CASE("rng: bulk numbers are the words of the reservation") {
  Rng rng(9, 2);
  rng.bits();
  const auto x = Tensor<double>::uniform({11}, rng);
  for (Index i = 0; i < 11; ++i) {
    const auto word = philox(9, 1 + static_cast<std::uint64_t>(i / 4), 2)[static_cast<std::size_t>(i % 4)];
    CHECK(x.data()[i] == unit_from_bits(word));
  }
  Rng again(9, 2);
  again.bits();
  const auto f = Tensor<float>::uniform({11}, again);
  for (Index i = 0; i < 11; ++i) CHECK(static_cast<double>(f.data()[i]) == x.data()[i]);
}
