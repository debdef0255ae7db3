// Random numbers: the counter-based generator Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel
// random numbers: as easy as 1, 2, 3"). The n-th number of a stream is a pure function of (seed, stream, n):
// any thread, and a GPU, can compute it without the ones before.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"

namespace tenon {

using PhiloxBlock = std::array<std::uint32_t, 4>;

// Ten rounds over a 128-bit counter under a 64-bit key; constexpr, so that device code may call it too.
constexpr PhiloxBlock philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter_low), c1 = static_cast<std::uint32_t>(counter_low >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(counter_high), c3 = static_cast<std::uint32_t>(counter_high >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;  // the golden ratio and sqrt(3) - 1, as in the paper
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// 24 of 32 random bits as a number in [0, 1): exact in float, so float and double streams agree.
constexpr double unit_from_bits(std::uint32_t bits) { return (bits >> 8) * 0x1p-24; }

// Everything a generator is; what a checkpoint stores.
struct RngState {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  std::uint64_t position = 0;  // 32-bit words drawn so far

  friend bool operator==(const RngState&, const RngState&) = default;
};

class Rng {
 public:
  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) : state_{seed, stream, 0} {}
  explicit Rng(const RngState& state) : state_(state) {}

  const RngState& state() const { return state_; }

  // An independent generator, determined by this one's seed and stream and by `index` alone.
  Rng fork(std::uint64_t index) const {
    const auto b = philox(state_.seed, index, ~state_.stream);
    return Rng(std::uint64_t{b[1]} << 32 | b[0], std::uint64_t{b[3]} << 32 | b[2]);
  }

  std::uint32_t bits() {
    const auto block = philox(state_.seed, state_.position / 4, state_.stream);
    return block[state_.position++ % 4];
  }

  // Uniform in [0, 1), and in [low, high).
  double uniform() { return unit_from_bits(bits()); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  bool bernoulli(double probability) { return uniform() < probability; }

  // Normal with mean 0 and deviation 1 (Box & Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  // Uniform in 0 … n-1, without the bias of a remainder (Lemire 2019): the few words that would favour some
  // results are drawn again.
  Index below(Index n) {
    require<ValueError>(n > 0 && n <= Index{0xFFFFFFFF}, "Rng::below: n is ", n, ", expected 1 … 2^32-1");
    const auto range = static_cast<std::uint32_t>(n);
    const std::uint32_t unfair = (0u - range) % range;
    for (;;) {
      const std::uint64_t product = std::uint64_t{bits()} * range;
      if (static_cast<std::uint32_t>(product) >= unfair) return static_cast<Index>(product >> 32);
    }
  }

  // 0 … n-1 in random order (Fisher & Yates).
  std::vector<Index> permutation(Index n) {
    std::vector<Index> order(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
    for (std::size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[static_cast<std::size_t>(below(static_cast<Index>(i)))]);
    }
    return order;
  }

  // Reserves `count` words for a bulk kernel and says where they start; word i of the reservation is
  // philox(seed, start + i / 4, stream)[i % 4].
  std::uint64_t reserve_blocks(Index count) {
    const std::uint64_t start = (state_.position + 3) / 4;
    state_.position = 4 * (start + (static_cast<std::uint64_t>(count) + 3) / 4);
    return start;
  }

 private:
  RngState state_;
};

}  // namespace tenon
