// Bulk random numbers: word i is philox(seed, first_block + i / 4, stream)[i % 4], as on the CPU.
#include "launch.cuh"

namespace tenon::cuda::kernels {

namespace {

template <class Write>
Status each_word(Stream stream, const RngState& rng, std::uint64_t first_block, Index n, const Write& write) {
  const std::uint64_t seed = rng.seed, counter_high = rng.stream;
  return launch_each(stream, (n + 3) / 4, [=] __device__(Index block) {
    const PhiloxBlock words = philox(seed, first_block + static_cast<std::uint64_t>(block), counter_high);
    for (Index lane = 0; lane < 4; ++lane) {
      if (4 * block + lane < n) write(4 * block + lane, words[static_cast<std::size_t>(lane)]);
    }
  });
}

}  // namespace

template <class T>
Status random_uniform(Stream stream, const RngState& rng, std::uint64_t first_block, double low, double high,
                      T* y, Index n) {
  return each_word(stream, rng, first_block, n, [=] __device__(Index i, std::uint32_t word) {
    y[i] = narrow<T>(low + (high - low) * unit_from_bits(word));
  });
}

template <class T>
Status random_bernoulli(Stream stream, const RngState& rng, std::uint64_t first_block, double probability,
                        double value, T* y, Index n) {
  return each_word(stream, rng, first_block, n, [=] __device__(Index i, std::uint32_t word) {
    y[i] = narrow<T>(unit_from_bits(word) < probability ? value : 0.0);
  });
}

#define INSTANTIATE(T)                                                                               \
  template Status random_uniform(Stream, const RngState&, std::uint64_t, double, double, T*, Index); \
  template Status random_bernoulli(Stream, const RngState&, std::uint64_t, double, double, T*, Index);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(half)
INSTANTIATE(bfloat16)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
