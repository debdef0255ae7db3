// Gaussian smoothing against a plain convolution in double, gradients against formulas.
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tenon/image/gaussian.hpp"
#include "tenon/image/gradient.hpp"
#include "unit/close.hpp"
#include "unit/threads_scope.hpp"

using namespace tenon;
using tenon::testing::contains;
using tenon::testing::error_of;
using tenon::testing::error_text;
using tenon::testing::same_bits;

namespace {

Index mirror(Index i, Index n) {
  while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
  return i;
}

// Two-dimensional, every tap, in double.
Tensor<float> plain_blur(const Tensor<float>& x, double sigma, double truncate) {
  const Index h = x.size(0), w = x.size(1), channels = x.numel() / (h * w);
  const auto radius = static_cast<Index>(std::ceil(truncate * sigma));
  const auto weight = [&](Index i) {
    return sigma > 0 ? std::exp(-static_cast<double>(i * i) / (2 * sigma * sigma)) : 1.0;
  };
  double sum = 0;
  for (Index i = -radius; i <= radius; ++i) sum += weight(i);
  Tensor<float> y(x.shape());
  for (Index i = 0; i < h; ++i) {
    for (Index j = 0; j < w; ++j) {
      for (Index c = 0; c < channels; ++c) {
        double total = 0;
        for (Index a = -radius; a <= radius; ++a) {
          for (Index b = -radius; b <= radius; ++b) {
            const Index at = (mirror(i + a, h) * w + mirror(j + b, w)) * channels + c;
            total += weight(a) * weight(b) * static_cast<double>(x.data()[at]);
          }
        }
        y.data()[(i * w + j) * channels + c] = static_cast<float>(total / (sum * sum));
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("gaussian_blur is the plain convolution") {
  Rng rng(1);
  for (const Shape& shape :
       {Shape{1, 1}, Shape{1, 40}, Shape{33, 2}, Shape{17, 91}, Shape{9, 64}, Shape{12, 13, 3}}) {
    const auto x = Tensor<float>::uniform(shape, rng);
    for (const double sigma : {0.0, 0.4, 1.3, 5.0}) {
      CAPTURE(sigma);
      const auto y = image::gaussian_blur(x, {.sigma = sigma});
      CHECK(!(error_of(y, plain_blur(x, sigma, 4)) > 2e-6));
    }
  }
}

TEST_CASE("gaussian_blur keeps constants, sums to 1 and does not depend on threads") {
  double sum = -static_cast<double>(image::gaussian_taps(2.3)[0]);
  for (const float tap : image::gaussian_taps(2.3)) sum += 2 * static_cast<double>(tap);
  CHECK(std::abs(sum - 1) < 1e-6);
  CHECK(image::gaussian_taps(2.3).size() == 11);
  const auto flat = Tensor<float>::full({50, 70}, 0.5f);
  CHECK(!(error_of(image::gaussian_blur(flat, {.sigma = 3}), flat) > 1e-6));
  Rng rng(2);
  const auto x = Tensor<float>::uniform({300, 333}, rng);
  Tensor<float> one, three;
  {
    const testing::ThreadScope threads(1);
    one = image::gaussian_blur(x, {.sigma = 1.6});
  }
  {
    const testing::ThreadScope threads(3);
    three = image::gaussian_blur(x, {.sigma = 1.6});
  }
  CHECK(same_bits(one, three));
}

TEST_CASE("gaussian_blur refuses what it cannot do") {
  const auto x = Tensor<float>::zeros({4, 4});
  CHECK(contains(error_text<ValueError>([&] { image::gaussian_blur(x, {.sigma = -1}); }), "sigma is -1"));
  CHECK(contains(error_text<ValueError>([&] { image::gaussian_blur(x, {.sigma = std::nan("")}); }),
                 "sigma is nan"));
  CHECK(contains(error_text<ValueError>([&] { image::gaussian_blur(x, {.truncate = 0}); }), "truncate"));
  CHECK(contains(error_text<ShapeError>([&] { image::gaussian_blur(x.reshape({16})); }), "(16)"));
  CHECK(contains(error_text<ShapeError>([&] { image::gaussian_blur(Tensor<float>({0, 3})); }), "(0,3)"));
}

TEST_CASE("gradient of a ramp, also at the border") {
  Tensor<float> x({5, 7});
  for (Index i = 0; i < 5; ++i) {
    for (Index j = 0; j < 7; ++j) x.at({i, j}) = static_cast<float>(3 * j - 2 * i);
  }
  const auto g = image::gradient(x);
  CHECK(!(error_of(g.dx, Tensor<float>::full({5, 7}, 3)) > 0));
  CHECK(!(error_of(g.dy, Tensor<float>::full({5, 7}, -2)) > 0));
  const auto polar = image::polar_gradient(x);
  CHECK(std::abs(polar.magnitude.at({2, 3}) - std::sqrt(13.0f)) < 1e-4f);
  CHECK(std::abs(polar.angle.at({2, 3}) - (2 * std::numbers::pi_v<float> - std::atan(2.0f / 3))) < 1e-5f);
  const auto single = image::gradient(Tensor<float>::ones({1, 1}));
  CHECK(single.dx.item() == 0);
  CHECK(single.dy.item() == 0);
}

TEST_CASE("the fast functions keep the errors they state") {
  double root = 0, angle = 0, power = 0;
  for (int i = 0; i < 200000; ++i) {
    const double t = i * 2 * std::numbers::pi / 200000;
    const float y = static_cast<float>(std::sin(t)), x = static_cast<float>(std::cos(t));
    const float found = image::fast_angle(y, x);
    CHECK_UNARY(found >= 0 && found < 2 * std::numbers::pi_v<float>);
    const double exact = std::atan2(static_cast<double>(y), static_cast<double>(x));
    angle =
        std::max(angle, std::abs(std::remainder(static_cast<double>(found) - exact, 2 * std::numbers::pi)));
    const float v = static_cast<float>(i) * 0.013f + 1e-6f;
    root = std::max(
        root, std::abs(static_cast<double>(image::fast_sqrt(v)) / std::sqrt(static_cast<double>(v)) - 1));
    const float e = static_cast<float>(i) * -4e-4f;
    power = std::max(
        power, std::abs(static_cast<double>(image::fast_exp(e)) / std::exp(static_cast<double>(e)) - 1));
  }
  CHECK(!(angle > 3e-6));
  CHECK(!(root > 1e-5));
  CHECK(!(power > 1e-5));
  CHECK(image::fast_sqrt(0) == 0);
  CHECK(image::fast_angle(0, 0) == 0);
  CHECK(image::fast_exp(0) == 1);
}
