// Comparing the two backends: an operation runs on the GPU in T and on the CPU in double, from the same
// inputs.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "tenon/cuda.hpp"
#include "tenon/tensor/tensors.hpp"

namespace parity {

using namespace tenon;

// False, and a line that says so, where there is no GPU: the test then returns.
inline bool device(const char* name) {
  if (cuda::device_available()) return true;
  std::printf("SKIPPED: %s: no CUDA device\n", name);
  return false;
}

// Largest difference allowed, over the largest magnitude of the reference.
template <class T>
constexpr double tolerance = std::same_as<T, double>  ? 1e-11
                             : std::same_as<T, float> ? 2e-5
                             : std::same_as<T, half>  ? 4e-3
                                                      : 3e-2;

using Numbers = std::vector<double>;

// Numbers in [low, high), other ones for every seed.
inline Numbers numbers(Index count, std::uint64_t seed, double low = -1, double high = 1) {
  Rng rng(seed);
  Numbers out(static_cast<std::size_t>(count));
  for (double& v : out) v = rng.uniform(low, high);
  return out;
}

// Infinite for a wrong size, NaN if there is one.
inline double relative_error(const Numbers& actual, const Numbers& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double worst = 0, size = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(actual[i] - expected[i]);
    if (difference > worst || difference != difference) worst = difference;
    size = std::max(size, std::abs(expected[i]));
  }
  return worst == 0 ? 0 : worst / std::max(size, 1e-30);
}

struct Case {
  std::string name;
  std::vector<Numbers> inputs;
  std::vector<Index> outputs{};   // sizes; each starts as NaN, so that a value not written is seen
  std::vector<Numbers> states{};  // written as well, and start with these values; they follow the outputs
  double slack = 1;               // times the tolerance
};

namespace detail {

template <class T, class D>
Tensor<T, D> on(const Numbers& values) {
  std::vector<T> rounded;
  for (const double v : values) rounded.push_back(static_cast<T>(static_cast<Wide<T>>(v)));
  return Tensor<T, D>({static_cast<Index>(values.size())}, rounded);
}

// The values as T holds them.
template <class T>
Numbers rounded(Numbers values) {
  for (double& v : values)
    v = static_cast<double>(static_cast<Wide<T>>(static_cast<T>(static_cast<Wide<T>>(v))));
  return values;
}

// Runs call(D, inputs, outputs) over pointers of that device; Rounded is what the inputs are rounded to
// first.
template <class Rounded, class T, class D, class Call>
std::vector<Numbers> run(const Case& c, const Call& call) {
  std::vector<Tensor<T, D>> inputs, outputs;
  for (const auto& v : c.inputs) inputs.push_back(on<T, D>(rounded<Rounded>(v)));
  for (const Index size : c.outputs) {
    outputs.push_back(
        on<T, D>(Numbers(static_cast<std::size_t>(size), std::numeric_limits<double>::quiet_NaN())));
  }
  for (const auto& v : c.states) outputs.push_back(on<T, D>(rounded<Rounded>(v)));
  std::vector<const T*> in;
  std::vector<T*> out;
  for (const auto& t : inputs) in.push_back(t.data());
  for (auto& t : outputs) out.push_back(t.data());
  call(D{}, in, out);
  std::vector<Numbers> results;
  for (const auto& t : outputs) {
    Numbers values;
    for (const T v : t.to_vector()) values.push_back(static_cast<double>(static_cast<Wide<T>>(v)));
    results.push_back(values);
  }
  return results;
}

}  // namespace detail

// call(D, in, out) must do the same on either device for any scalar type.
template <class T, class Call>
void compare(const Case& c, const Call& call) {
  const auto expected = detail::run<T, double, Cpu>(c, call);
  const auto actual = detail::run<T, T, Cuda>(c, call);
  const auto again = detail::run<T, T, Cuda>(c, call);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = relative_error(actual[i], expected[i]);
    const std::string seen =
        text(c.name, " in ", std::string_view(scalar_name<T>()), ", output ", i, ": relative error ", error);
    CHECK_MESSAGE(!!(error <= c.slack * tolerance<T>), seen);
    const bool repeats = relative_error(again[i], actual[i]) == 0;
    CHECK_MESSAGE(repeats, seen, ", and a second run differs");
  }
}

}  // namespace parity
