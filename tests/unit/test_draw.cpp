// Drawing: the right pixels, coverage that adds up, nothing outside the picture, and galleries.
#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <string>

#include "files.hpp"
#include "tenon/image/draw.hpp"
#include "tenon/report/gallery.hpp"

using namespace tenon;
using image::Rgb;
using testing::contains, testing::error_text;

namespace {

constexpr Rgb white{255, 255, 255};

// How much of the picture is painted, in pixels.
double painted(const Tensor<std::uint8_t>& x) {
  double sum = 0;
  for (const std::uint8_t v : x.span()) sum += v / 255.0;
  return sum / 3;
}

}  // namespace

TEST_CASE("draw: a line of one pixel's width fills its row and no other") {
  auto x = image::blank(7, 9, {});
  image::draw_line(x, 2, 3, 6, 3, {.color = {255, 0, 10}});
  for (Index i = 0; i < 7; ++i) {
    for (Index j = 2; j <= 6; ++j) CHECK(x.at({i, j, 0}) == (i == 3 ? 255 : 0));
  }
  CHECK(x.at({3, 4, 2}) == 10);
}

TEST_CASE("draw: coverage is the area, whatever the direction") {
  for (const double dx : {30.0, 21.2, 0.0, -21.2}) {
    auto x = image::blank(80, 80, {});
    const double dy = dx == 0 ? 30.0 : std::sqrt(900 - dx * dx);
    image::draw_line(x, 40.3, 20.2, 40.3 + dx, 20.2 + dy, {.color = white, .width = 3});
    CHECK(painted(x) == doctest::Approx(30 * 3 + 3.14159 * 1.5 * 1.5).epsilon(0.04));
  }
  auto ring = image::blank(80, 80, {});
  image::draw_circle(ring, 40, 40, 20, {.color = white, .width = 2});
  CHECK(painted(ring) == doctest::Approx(2 * 3.14159 * 20 * 2).epsilon(0.02));
  CHECK(ring.at({40, 60, 0}) == 255);
  CHECK(ring.at({40, 40, 0}) == 0);
}

TEST_CASE("draw: what lies outside is left out, and absurd places are harmless") {
  auto x = image::blank(10, 10, {});
  const double infinity = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  image::draw_line(x, -500, -500, -1, -400, {.color = white, .width = 5});
  image::draw_circle(x, 1e300, 5, 3, {.color = white});
  image::draw_line(x, nan, 0, 5, 5, {.color = white});
  image::draw_circle(x, nan, nan, 3, {.color = white});
  image::draw_circle(x, 5, 5, infinity, {.color = white});
  image::draw_text(x, 1e18, 2, "far away", {.color = white});
  CHECK(painted(x) == 0);
  image::draw_line(x, -1e6, 5, 1e6, 5, {.color = white});
  CHECK(painted(x) == doctest::Approx(10));
  image::paste(x, image::blank(4, 4, white), -2, 8);
  CHECK(painted(x) == doctest::Approx(14));
  image::paste(x, image::blank(4, 4, white), 50, 50);
  CHECK(painted(x) == doctest::Approx(14));
  CHECK(contains(error_text<ShapeError>([] {
                   Tensor<std::uint8_t> gray({4, 4, 1});
                   image::draw_line(gray, 0, 0, 1, 1);
                 }),
                 "expected (H,W,3)"));
}

TEST_CASE("draw: opacity mixes colours") {
  auto x = image::blank(3, 3, {100, 100, 100});
  image::fill_box(x, 0, 0, 2, 2, {.color = {200, 100, 0}, .opacity = 0.5});
  CHECK(x.at({1, 1, 0}) == 150);
  CHECK(x.at({1, 1, 1}) == 100);
  CHECK(x.at({1, 1, 2}) == 50);
}

TEST_CASE("draw: every letter has a shape of its own, and a width") {
  std::set<std::vector<std::uint8_t>> shapes;
  for (int code = 33; code < 127; ++code) {
    auto x = image::blank(40, 30, {});
    image::draw_text(x, 4, 4, std::string(1, static_cast<char>(code)), {.color = white, .size = 18});
    CHECK(painted(x) > 3);
    shapes.insert(x.to_vector());
  }
  CHECK(shapes.size() == 94);
  CHECK(image::text_width("") == 0);
  CHECK(image::text_width("ab", {.size = 12}) == doctest::Approx(20));
  auto unknown = image::blank(20, 20, {});
  image::draw_text(unknown, 2, 2, "\xC3", {.color = white});
  CHECK(painted(unknown) > 3);
}

TEST_CASE("gallery: as large as its rows, pictures scaled to fit") {
  const auto wide = image::blank(10, 1000, {9, 9, 9}), high = image::blank(1000, 3, {9, 9, 9});
  const auto page = report::gallery(
      {{"first", {{wide, "a caption that is far too long for its room"}, {high}}}, {"second", {{wide}}}});
  CHECK(page.shape() == Shape{2 * (24 + 112 + 18 + 10) + 10, 2 * 160 + 10, 3});
  CHECK(contains(error_text<ValueError>([] { report::gallery({{"none", {}}}); }), "without a picture"));
}
