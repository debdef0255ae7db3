// Homographies recovered from pairs with noise and with wrong pairs among them.
#include <cmath>
#include <limits>

#include "tenon/features/homography.hpp"
#include "unit/close.hpp"

using namespace tenon;
using tenon::testing::contains;
using tenon::testing::error_text;

namespace {

constexpr Matrix3 truth{0.9, -0.2, 40, 0.25, 1.1, -30, 2e-4, -1e-4, 1};

struct Pairs {
  std::vector<Point2> from, to;
};

Pairs make_pairs(Index right, Index wrong, double noise) {
  Rng rng(5);
  Pairs p;
  for (Index i = 0; i < right + wrong; ++i) {
    p.from.push_back({rng.uniform(0, 640), rng.uniform(0, 480)});
    Point2 image = transform(truth, p.from.back());
    image.x += noise * rng.normal();
    image.y += noise * rng.normal();
    if (i >= right) image = {rng.uniform(0, 640), rng.uniform(0, 480)};
    p.to.push_back(image);
  }
  return p;
}

double worst_corner(const Matrix3& h) {
  double worst = 0;
  for (const Point2 p : {Point2{0, 0}, Point2{640, 0}, Point2{0, 480}, Point2{640, 480}}) {
    const Point2 a = transform(h, p), b = transform(truth, p);
    const double d = std::hypot(a.x - b.x, a.y - b.y);
    worst = d <= worst ? worst : d;  // not a number counts
  }
  return worst;
}

}  // namespace

TEST_CASE("find_homography: four exact pairs, and many") {
  for (const Index count : {Index{4}, Index{5}, Index{60}}) {
    const Pairs p = make_pairs(count, 0, 0);
    Rng rng(1);
    const auto found = find_homography(p.from, p.to, {}, rng);
    REQUIRE(found.found);
    CHECK(static_cast<Index>(found.inliers.size()) == count);
    CHECK(!(worst_corner(found.matrix) > 1e-6));
    CHECK(found.matrix[8] == 1);
  }
}

TEST_CASE("find_homography: half and more of the pairs are wrong") {
  const Pairs p = make_pairs(120, 200, 0.5);
  Rng rng(2), again(2);
  const auto found = find_homography(p.from, p.to, {}, rng);
  REQUIRE(found.found);
  CHECK(!(worst_corner(found.matrix) > 1.0));
  CHECK(found.inliers.size() >= 115);
  CHECK(found.inliers.size() <= 125);
  CHECK(found.iterations < 10000);
  const auto repeated = find_homography(p.from, p.to, {}, again);
  CHECK(repeated.matrix == found.matrix);
  CHECK(repeated.inliers == found.inliers);
}

TEST_CASE("find_homography: refinement beats the four pairs it starts from") {
  const Pairs p = make_pairs(400, 0, 1.0);
  Rng rng(3);
  const auto found = find_homography(p.from, p.to, {.threshold = 5}, rng);
  CHECK(!(worst_corner(found.matrix) > 0.6));  // one deviation of 1 pixel over √400, at the corners some more
}

TEST_CASE("find_homography: no map") {
  Rng rng(4);
  CHECK_FALSE(find_homography({}, {}, {}, rng).found);
  const Pairs three = make_pairs(3, 0, 0);
  CHECK_FALSE(find_homography(three.from, three.to, {}, rng).found);
  std::vector<Point2> line, same(20, Point2{3, 4});
  for (int i = 0; i < 20; ++i) line.push_back({static_cast<double>(i), 2.0 * i});
  CHECK_FALSE(find_homography(line, line, {.max_iterations = 200}, rng).found);
  CHECK_FALSE(find_homography(same, same, {.max_iterations = 200}, rng).found);
}

TEST_CASE("find_homography: bad arguments") {
  Rng rng(5);
  Pairs p = make_pairs(6, 0, 0);
  CHECK(contains(error_text<ValueError>([&] { find_homography(p.from, p.to, {.threshold = 0}, rng); }),
                 "threshold 0"));
  CHECK(contains(error_text<ShapeError>([&] { find_homography(p.from, {}, {}, rng); }), "6 points and 0"));
  p.to[2].y = std::numeric_limits<double>::quiet_NaN();
  CHECK(contains(error_text<ValueError>([&] { find_homography(p.from, p.to, {}, rng); }), "pair 2"));
}
