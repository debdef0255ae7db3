// Transforms: exact results where chance is fixed, frequencies where it is not.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "files.hpp"
#include "tenon/data/transforms.hpp"

using namespace tenon;
using namespace tenon::data;
using testing::contains, testing::error_text;

namespace {

// x[i,j,c] = 100 i + 10 j + c.
Tensor<float> numbered(Index height, Index width, Index channels) {
  Tensor<float> x({height, width, channels});
  for (Index i = 0; i < height; ++i) {
    for (Index j = 0; j < width; ++j) {
      for (Index c = 0; c < channels; ++c) x.at({i, j, c}) = static_cast<float>(100 * i + 10 * j + c);
    }
  }
  return x;
}

// The crop with its upper left corner at (top, left), pixel by pixel: the plain version of RandomCrop.
Tensor<float> plain_crop(const Tensor<float>& x, Index top, Index left, Index size, PadMode mode) {
  Tensor<float> y({size, size, x.size(2)});
  const auto mirror = [](Index i, Index n) { return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i; };
  for (Index i = 0; i < size; ++i) {
    for (Index j = 0; j < size; ++j) {
      for (Index c = 0; c < x.size(2); ++c) {
        const Index a = i + top, b = j + left;
        const bool inside = a >= 0 && a < x.size(0) && b >= 0 && b < x.size(1);
        y.at({i, j, c}) = inside                  ? x.at({a, b, c})
                          : mode == PadMode::zero ? 0
                                                  : x.at({mirror(a, x.size(0)), mirror(b, x.size(1)), c});
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("transforms: bytes become numbers from 0 to 1") {
  const auto y = to_float<float>(Tensor<std::uint8_t>({1, 3, 1}, {0, 51, 255}));
  CHECK(y.shape() == Shape{1, 3, 1});
  CHECK(y.data()[0] == 0.0f);
  CHECK(!(std::abs(y.data()[1] - 0.2f) > 1e-6f));
  CHECK(!(std::abs(y.data()[2] - 1.0f) > 1e-6f));
}

TEST_CASE("transforms: normalisation, of a picture and of a batch, for 1, 3 and 4 channels") {
  for (const Index channels : {1, 3, 4}) {
    auto x = numbered(3, 5, channels);
    auto batch = x.clone().reshape({1, 3, 5, channels});
    const auto before = x.to_vector();
    Normalize normalize;
    for (Index c = 0; c < channels; ++c) {
      normalize.mean.push_back(0.5 * static_cast<double>(c));
      normalize.std.push_back(2.0 + static_cast<double>(c));
    }
    Rng rng(0);
    normalize(x, rng);
    normalize(batch);
    CHECK(batch.to_vector() == x.to_vector());
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::size_t c = i % static_cast<std::size_t>(channels);
      const double expected = (before[i] - normalize.mean[c]) / normalize.std[c];
      CHECK(!(std::abs(x.to_vector()[i] - expected) > 1e-4 * (1 + std::abs(expected))));
    }
  }
  auto gray = numbered(2, 2, 1);
  CHECK(contains(error_text<ShapeError>([&] { Normalize::cifar10()(gray); }), "with 3 means"));
  CHECK(contains(error_text<ValueError>([&] { Normalize{.mean = {0}, .std = {0}}(gray); }),
                 "deviation 0 is 0"));
}

TEST_CASE("transforms: a flip exchanges left and right, half of the time") {
  Rng rng(1);
  const auto x = numbered(2, 3, 2);
  auto y = x.clone();
  RandomHorizontalFlip{.p = 1}(y, rng);
  CHECK(y.to_vector() == std::vector<float>{20, 21, 10, 11, 0, 1, 120, 121, 110, 111, 100, 101});
  auto z = x.clone();
  RandomHorizontalFlip{.p = 0}(z, rng);
  CHECK(z.to_vector() == x.to_vector());
  int flipped = 0;
  for (int i = 0; i < 2000; ++i) {
    auto v = x.clone();
    RandomHorizontalFlip{}(v, rng);
    flipped += v.data()[0] == 20;
  }
  CHECK(std::abs(flipped - 1000) < 120);  // five deviations
}

TEST_CASE("transforms: a crop is a window of the padded picture, at every place") {
  const auto x = numbered(6, 8, 2);
  for (const PadMode mode : {PadMode::zero, PadMode::reflect}) {
    for (const auto& [size, padding] : {std::pair<Index, Index>{6, 3}, {4, 0}, {12, 3}, {1, 5}, {2, 4}}) {
      const Index rows = 6 + 2 * padding - size + 1, columns = 8 + 2 * padding - size + 1;
      std::set<std::pair<Index, Index>> seen;
      for (std::uint64_t seed = 0; seed < 400; ++seed) {
        Rng rng(seed), same(seed);
        const Index top = same.below(rows) - padding, left = same.below(columns) - padding;
        auto y = x.clone();
        RandomCrop{.size = size, .padding = padding, .mode = mode}(y, rng);
        CHECK(y.to_vector() == plain_crop(x, top, left, size, mode).to_vector());
        seen.insert({top, left});
      }
      CHECK(static_cast<Index>(seen.size()) > std::min<Index>(rows * columns, 100) * 2 / 3);
    }
  }
  auto y = x.clone();
  Rng rng(0);
  CHECK(contains(error_text<ShapeError>([&] { RandomCrop{.size = 9}(y, rng); }),
                 "size 9 with padding 0 of shape (6,8,2)"));
  CHECK(contains(
      error_text<ShapeError>([&] { RandomCrop{.size = 6, .padding = 6, .mode = PadMode::reflect}(y, rng); }),
      "reflecting 6"));
}

TEST_CASE("transforms: a composition applies its steps in order with one generator") {
  const auto all = compose<float>(RandomCrop{.size = 4, .padding = 2}, RandomHorizontalFlip{},
                                  Normalize{.mean = {1, 2}, .std = {3, 4}});
  const auto x = numbered(5, 5, 2);
  auto y = x.clone(), z = x.clone();
  Rng a(9), b(9);
  all(y, a);
  RandomCrop{.size = 4, .padding = 2}(z, b);
  RandomHorizontalFlip{}(z, b);
  Normalize{.mean = {1, 2}, .std = {3, 4}}(z);
  CHECK(y.to_vector() == z.to_vector());
  CHECK(a.state() == b.state());
  CHECK_FALSE(static_cast<bool>(compose<float>()));
}
