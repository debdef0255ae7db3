// Bulk random numbers on the CPU: element i is a pure function of (seed, stream, start + i), so any thread may
// compute any part.
#pragma once

#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/core/random.hpp"

namespace tenon::cpu {

namespace detail {

template <class Write>
void each_word(const RngState& rng, std::uint64_t first_block, Index n, const Write& write) {
  parallel_ranges((n + 3) / 4, elementwise_grain / 16, [&](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      const auto words = philox(rng.seed, first_block + static_cast<std::uint64_t>(b), rng.stream);
      for (Index i = 4 * b; i < std::min(n, 4 * b + 4); ++i) write(i, words[static_cast<std::size_t>(i % 4)]);
    }
  });
}

}  // namespace detail

// Uniform in [low, high).
template <class T>
void random_uniform(const RngState& rng, std::uint64_t first_block, double low, double high, T* y, Index n) {
  detail::each_word(rng, first_block, n, [=](Index i, std::uint32_t word) {
    y[i] = static_cast<T>(static_cast<Wide<T>>(low + (high - low) * unit_from_bits(word)));
  });
}

// `value` with the given probability, 0 otherwise: the mask of dropout.
template <class T>
void random_bernoulli(const RngState& rng, std::uint64_t first_block, double probability, double value, T* y, Index n) {
  detail::each_word(rng, first_block, n, [=](Index i, std::uint32_t word) {
    y[i] = static_cast<T>(unit_from_bits(word) < probability ? value : 0.0);
  });
}

}  // namespace tenon::cpu
