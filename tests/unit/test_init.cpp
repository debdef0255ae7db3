// Initial weights: bounds, moments, and the same numbers from the same seed.
#include "close.hpp"
#include "tenon/nn/conv.hpp"
#include "tenon/nn/linear.hpp"

using namespace tenon;
using namespace tenon::nn;

namespace {

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0, largest = 0;
};

Moments moments(const Tensor<float>& x) {
  Moments m;
  const auto n = static_cast<double>(x.numel());
  for (const float v : x.span()) m.mean += v / n;
  double square = 0, fourth = 0;
  for (const float v : x.span()) {
    const double d = v - m.mean;
    square += d * d / n;
    fourth += d * d * d * d / n;
    m.largest = std::max(m.largest, std::abs(static_cast<double>(v)));
  }
  m.deviation = std::sqrt(square);
  m.kurtosis = fourth / (square * square);  // 3 for a normal, 1.8 for a uniform distribution
  return m;
}

// 115 200 numbers; fan_in 288, fan_out 3600.
const Shape shape{400, 3, 3, 32};

template <class Initialise>
Moments drawn(const Initialise& initialise) {
  Rng rng(7);
  auto weight = constant_parameter<float, Cpu>(shape, 5);
  initialise(weight, rng);
  CHECK(weight.requires_grad());
  CHECK(weight.shape() == shape);
  return moments(weight.value());
}

void is_uniform(const Moments& m, double bound) {
  CHECK(!(m.largest > bound * (1 + 1e-6)));
  CHECK(m.largest > 0.99 * bound);
  CHECK(!(std::abs(m.mean) > 0.02 * bound));
  CHECK(m.deviation == doctest::Approx(bound / std::sqrt(3)).epsilon(0.01));
  CHECK(m.kurtosis == doctest::Approx(1.8).epsilon(0.02));
}

void is_normal(const Moments& m, double deviation) {
  CHECK(!(std::abs(m.mean) > 0.02 * deviation));
  CHECK(m.deviation == doctest::Approx(deviation).epsilon(0.01));
  CHECK(m.kurtosis == doctest::Approx(3).epsilon(0.05));
  CHECK(m.largest > 3.5 * deviation);
}

}  // namespace

TEST_CASE("fans: inputs and outputs of a weight") {
  CHECK(fans({5, 7}).in == 7);
  CHECK(fans({5, 7}).out == 5);
  CHECK(fans({400, 3, 3, 32}).in == 288);
  CHECK(fans({400, 3, 3, 32}).out == 3600);
  CHECK(testing::error_text<ShapeError>([] { fans({5}); }) ==
        "fans: weight (5), expected (out,in) or (O,KH,KW,C)");
}

TEST_CASE("kaiming: variance 2/fan_in") {
  is_normal(drawn([](auto& w, Rng& rng) { kaiming_normal_(w, rng); }), std::sqrt(2.0 / 288));
  is_uniform(drawn([](auto& w, Rng& rng) { kaiming_uniform_(w, rng); }), std::sqrt(6.0 / 288));
}

TEST_CASE("xavier: variance 2/(fan_in + fan_out)") {
  is_normal(drawn([](auto& w, Rng& rng) { xavier_normal_(w, rng); }), std::sqrt(2.0 / 3888));
  is_uniform(drawn([](auto& w, Rng& rng) { xavier_uniform_(w, rng); }), std::sqrt(6.0 / 3888));
}

TEST_CASE("layers start within 1/sqrt(fan_in), weights and biases alike") {
  Rng rng(8);
  const Linear<float> linear({.in = 16, .out = 3000}, rng);
  is_uniform(moments(linear.weight.value()), 0.25);
  CHECK(moments(linear.bias.value()).largest == doctest::Approx(0.25).epsilon(0.01));
  const Conv2d<float> conv({.in = 8, .out = 3000, .kernel = {2, 4}, .groups = 4}, rng);  // fan_in 16
  is_uniform(moments(conv.weight.value()), 0.25);
  CHECK(moments(conv.bias.value()).largest == doctest::Approx(0.25).epsilon(0.01));
}

TEST_CASE("the same seed gives the same weights, another seed others") {
  const auto weights = [](std::uint64_t seed) {
    Rng rng(seed);
    return Linear<float>({.in = 5, .out = 6}, rng).weight.value();
  };
  CHECK(testing::same_bits(weights(1), weights(1)));
  CHECK_FALSE(testing::same_bits(weights(1), weights(2)));
}
