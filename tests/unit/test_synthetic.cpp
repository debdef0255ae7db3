// The synthetic pictures: the same every time, different by seed, and not told apart by their mean colours.
#include <doctest/doctest.h>

#include <cmath>

#include "files.hpp"
#include "tenon/core/threads.hpp"
#include "tenon/data/synthetic.hpp"

using namespace tenon;
using testing::contains, testing::error_text;

TEST_CASE("synthetic: the options alone decide the pictures") {
  const int threads = thread_count();
  const auto a = data::synthetic_shapes({.count = 50, .seed = 4});
  set_thread_count(1);
  const auto b = data::synthetic_shapes({.count = 50, .seed = 4});
  const auto longer = data::synthetic_shapes({.count = 60, .seed = 4});
  set_thread_count(threads);
  CHECK(a.images.to_vector() == b.images.to_vector());
  CHECK(longer.images.rows(0, 50).clone().to_vector() == a.images.to_vector());
  CHECK(a.images.to_vector() != data::synthetic_shapes({.count = 50, .seed = 5}).images.to_vector());
}

TEST_CASE("synthetic: shapes, labels and names are in order") {
  const auto set = data::synthetic_shapes({.count = 45, .size = 20, .classes = 4});
  CHECK(set.images.shape() == Shape{45, 20, 20, 3});
  CHECK(set.class_count() == 4);
  CHECK_NOTHROW(data::validate(set, "synthetic", {.every_class = true, .labelled = true}));
  const auto sizes = data::class_sizes(set);
  CHECK(sizes == std::vector<Index>{12, 11, 11, 11});
  CHECK(contains(error_text<ValueError>([] { data::synthetic_shapes({.count = 0}); }), "count is 0"));
  CHECK(contains(error_text<ValueError>([] { data::synthetic_shapes({.classes = 11}); }), "classes is 11"));
  CHECK(contains(error_text<ValueError>([] { data::synthetic_shapes({.size = 4}); }), "size is 4"));
}

TEST_CASE("synthetic: a picture is not told by its mean colour, but classes differ in their pixels") {
  const auto set = data::synthetic_shapes({.count = 1000, .seed = 1});
  std::vector<double> mean(10), squares(10);
  for (Index i = 0; i < set.size(); ++i) {
    double sum = 0;
    const auto image = set.image(i);
    for (const std::uint8_t v : image.span()) sum += v;
    const auto c = static_cast<std::size_t>(set.label(i));
    mean[c] += sum / 3072 / 100;
    squares[c] += sum / 3072 * sum / 3072 / 100;
  }
  for (std::size_t c = 0; c < 10; ++c) {  // the spread within a class covers the distance between classes
    const double deviation = std::sqrt(squares[c] - mean[c] * mean[c]);
    CHECK(deviation > 15);
    for (std::size_t d = 0; d < 10; ++d) CHECK(std::abs(mean[c] - mean[d]) < 3 * deviation);
  }
  // Ring and disk differ in the middle: the disk is brighter there than its surroundings, the ring is not.
  double disk = 0, ring = 0;
  for (int i = 0; i < 40; ++i) {
    disk += data::detail::inside_shape(0, 0.01 * i - 0.2, 0) > 0;
    ring += data::detail::inside_shape(1, 0.01 * i - 0.2, 0) > 0;
  }
  CHECK(disk == 40);
  CHECK(ring == 0);
}
