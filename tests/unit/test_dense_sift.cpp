// Dense SIFT against plain loops over the pixels of every cell, and against SIFT at the same frames.
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "tenon/features/dense_sift.hpp"
#include "tenon/features/sift/sift.hpp"
#include "unit/close.hpp"
#include "unit/threads_scope.hpp"

using namespace tenon;
using tenon::testing::contains;
using tenon::testing::error_of;
using tenon::testing::error_text;
using tenon::testing::same_bits;

namespace {

Tensor<float> texture(Index height, Index width, std::uint64_t seed) {
  Rng rng(seed);
  return image::gaussian_blur(Tensor<float>::uniform({height, width}, rng), {.sigma = 1.5});
}

// One descriptor, cell by cell, pixel by pixel.
std::vector<double> plain_descriptor(const Tensor<float>& picture, const Keypoint& k,
                                     const DenseSiftOptions& o) {
  const auto g = image::gradient(picture);
  std::vector<double> d(128);
  const auto bin = static_cast<double>(o.bin_size);
  for (int cell = 0; cell < 16; ++cell) {
    const double cy = k.y + (cell / 4 - 1.5) * bin, cx = k.x + (cell % 4 - 1.5) * bin;
    const double gy = cell / 4 - 1.5, gx = cell % 4 - 1.5;
    const double window = o.window > 0 ? std::exp(-(gx * gx + gy * gy) / (2 * o.window * o.window)) : 1;
    for (Index i = 0; i < picture.size(0); ++i) {
      for (Index j = 0; j < picture.size(1); ++j) {
        const double wy = 1 - std::abs(static_cast<double>(i) - cy) / bin;
        const double wx = 1 - std::abs(static_cast<double>(j) - cx) / bin;
        if (wy <= 0 || wx <= 0) continue;
        const double dx = static_cast<double>(g.dx.at({i, j})), dy = static_cast<double>(g.dy.at({i, j}));
        double turn = std::atan2(dy, dx) * 4 / std::numbers::pi;
        if (turn < 0) turn += 8;
        const int low = static_cast<int>(turn) % 8;
        const double part = turn - std::floor(turn), m = window * wy * wx * std::hypot(dx, dy);
        d[static_cast<std::size_t>(8 * cell + low)] += m * (1 - part);
        d[static_cast<std::size_t>(8 * cell + (low + 1) % 8)] += m * part;
      }
    }
  }
  const auto norm = [&] {
    double sum = 0;
    for (const double v : d) sum += v * v;
    return std::sqrt(sum);
  };
  const double first = norm();
  for (double& v : d) v = std::min(v / first, o.clamp);
  const double second = norm();
  double total = 0;
  for (double& v : d) total += (v /= second);
  if (o.root) {
    for (double& v : d) v = std::sqrt(v / total);
  }
  return d;
}

}  // namespace

TEST_CASE("dense_sift is the plain sum over pixels") {
  const auto picture = texture(37, 50, 1);
  for (const DenseSiftOptions& o :
       {DenseSiftOptions{.blur = 0}, DenseSiftOptions{.step = 5, .bin_size = 3, .blur = 0, .root = false},
        DenseSiftOptions{.step = 3, .bin_size = 6, .blur = 0, .window = 0}}) {
    const auto found = dense_sift(picture, o);
    REQUIRE(found.keypoints.size() > 4);
    double worst = 0;
    for (std::size_t i = 0; i < found.keypoints.size(); ++i) {
      const auto expected = plain_descriptor(picture, found.keypoints[i], o);
      for (std::size_t j = 0; j < 128; ++j) {
        const double e = std::abs(static_cast<double>(found.descriptors.data()[128 * i + j]) - expected[j]);
        worst = e <= worst ? worst : e;
      }
    }
    CHECK(!(worst > 2e-3));  // a root has a steep slope at 0
  }
}

TEST_CASE("dense_sift resembles SIFT at the same frames") {
  const auto picture = texture(80, 90, 2);
  const auto found = dense_sift(picture, {.bin_size = 6, .blur = 0, .root = false});
  SiftOptions sift_options;
  sift_options.root = false;
  const auto reference = sift_descriptors(picture, found.keypoints, sift_options);
  double least = 1;
  for (Index i = 0; i < reference.size(0); ++i) {
    double product = 0;
    for (Index j = 0; j < 128; ++j) {
      product +=
          static_cast<double>(reference.at({i, j})) * static_cast<double>(found.descriptors.at({i, j}));
    }
    least = product >= least ? least : product;
  }
  CHECK(!(least < 0.8));
}

TEST_CASE("dense_sift: the grid is centred; small pictures have no descriptors") {
  const auto grid = dense_sift(texture(40, 61, 3), {.step = 10, .bin_size = 4});
  CHECK(grid.keypoints.size() == 3 * 5);
  CHECK(grid.keypoints[0].x == 4 + 6);
  CHECK(grid.keypoints[0].y == 3 + 6);
  CHECK(grid.keypoints[1].x == 20);
  CHECK(grid.descriptors.shape() == Shape{15, 128});
  CHECK(dense_sift(texture(12, 80, 4)).keypoints.empty());
  CHECK(dense_sift(texture(13, 13, 4)).keypoints.size() == 1);
  CHECK(dense_sift(Tensor<float>::ones({1, 1})).descriptors.shape() == Shape{0, 128});
  const auto flat = dense_sift(Tensor<float>::ones({30, 30})).descriptors;
  for (const float v : flat.span()) CHECK(v == 0);
}

TEST_CASE("dense_sift: the same for any number of threads") {
  const auto picture = texture(120, 150, 5);
  Tensor<float> one, three;
  {
    const testing::ThreadScope threads(1);
    one = dense_sift(picture).descriptors;
  }
  {
    const testing::ThreadScope threads(3);
    three = dense_sift(picture).descriptors;
  }
  CHECK(same_bits(one, three));
}

TEST_CASE("dense_sift: faint descriptors are set to 0 where asked, bad arguments refused") {
  const auto picture = texture(40, 40, 6);
  const auto found = dense_sift(picture, {.contrast = 1e3});
  for (const float v : found.descriptors.span()) CHECK(v == 0);
  CHECK(found.keypoints[0].response > 0);
  CHECK(contains(error_text<ValueError>([&] { dense_sift(picture, {.step = 0}); }), "step is 0"));
  CHECK(contains(error_text<ShapeError>([&] { dense_sift(Tensor<float>::ones({4, 4, 3})); }), "(4,4,3)"));
  auto broken = picture.clone();
  broken.at({3, 5}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { dense_sift(broken); }), "row 3, column 5"));
}
