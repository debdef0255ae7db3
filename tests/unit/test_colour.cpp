// Gray, floats and HSV against values worked out by hand, and there and back again.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "files.hpp"
#include "tenon/core/random.hpp"
#include "tenon/image/colour.hpp"

using namespace tenon;
using testing::contains, testing::error_text;

TEST_CASE("colour: gray is the luma, alpha is left out") {
  const Tensor<std::uint8_t> rgb({1, 3, 3}, {255, 0, 0, 0, 255, 0, 10, 20, 30});
  const auto gray = image::to_gray(rgb);
  CHECK(gray.shape() == Shape{1, 3});
  CHECK(!(std::abs(gray.data()[0] - 0.299f) > 1e-6f));
  CHECK(!(std::abs(gray.data()[1] - 0.587f) > 1e-6f));
  CHECK(!(std::abs(gray.data()[2] - (2.99f + 11.74f + 3.42f) / 255) > 1e-6f));
  const auto one = image::to_gray(Tensor<std::uint8_t>({1, 2, 1}, {0, 255}));
  CHECK(one.to_vector() == std::vector<float>{0, 1});
  CHECK(image::to_gray(Tensor<std::uint8_t>({1, 1, 2}, {51, 7})).item() == doctest::Approx(0.2));
  CHECK(image::to_gray(Tensor<std::uint8_t>({1, 1, 4}, {255, 255, 255, 0})).item() == doctest::Approx(1));
  CHECK(image::to_gray(Tensor<float>({1, 1, 3}, {1, 0, 0})).item() == doctest::Approx(0.299));
  CHECK(contains(error_text<ShapeError>([] {
                   image::to_gray(Tensor<float>::zeros({4, 4}));
                 }),
                 "expected (H,W,C)"));
}

TEST_CASE("colour: bytes and floats") {
  for (int v = 0; v < 256; ++v) {
    const Tensor<std::uint8_t> byte({1, 1, 1}, {static_cast<std::uint8_t>(v)});
    CHECK(image::to_bytes(image::to_float(byte)).item() == v);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(image::to_bytes(Tensor<float>({4}, {-1, 2, 0.5f, nan})).to_vector() ==
        std::vector<std::uint8_t>{0, 255, 128, 0});
  CHECK(image::to_rgb(Tensor<std::uint8_t>({1, 1, 2}, {9, 1})).to_vector() ==
        std::vector<std::uint8_t>{9, 9, 9});
  CHECK(image::to_rgb(Tensor<std::uint8_t>({1, 1, 4}, {1, 2, 3, 4})).to_vector() ==
        std::vector<std::uint8_t>{1, 2, 3});
  CHECK(image::gray_to_rgb(Tensor<float>({1, 1}, {1})).to_vector() ==
        std::vector<std::uint8_t>{255, 255, 255});
}

TEST_CASE("colour: HSV of known colours, and back") {
  const Tensor<float> rgb({1, 6, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f, 0, 0, 0, 1, 0.5f, 0});
  const Tensor<float> expected(
      {1, 6, 3}, {0, 1, 1, 1 / 3.0f, 1, 1, 2 / 3.0f, 1, 0.5f, 0, 0, 0.5f, 0, 0, 0, 1 / 12.0f, 1, 1});
  const auto hsv = image::rgb_to_hsv(rgb);
  for (Index i = 0; i < hsv.numel(); ++i) CHECK(!(std::abs(hsv.data()[i] - expected.data()[i]) > 1e-6f));
  Rng rng(3);
  const auto x = Tensor<float>::uniform({20, 20, 3}, rng);
  const auto back = image::hsv_to_rgb(image::rgb_to_hsv(x));
  for (Index i = 0; i < x.numel(); ++i) CHECK(!(std::abs(back.data()[i] - x.data()[i]) > 2e-6f));
  const auto around = image::hsv_to_rgb(Tensor<float>({1, 1, 3}, {1.25f, 1, 1})),
             once = image::hsv_to_rgb(Tensor<float>({1, 1, 3}, {0.25f, 1, 1}));
  CHECK(around.to_vector() == once.to_vector());
  CHECK(contains(error_text<ShapeError>([] {
                   image::rgb_to_hsv(Tensor<float>::zeros({2, 2, 1}));
                 }),
                 "expected (H,W,3)"));
}
