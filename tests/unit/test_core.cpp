// Shapes, errors and text.
#include <limits>

#include "close.hpp"
#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"

using namespace tenon;
using testing::error_text;

TEST_CASE("text: joins parts; numbers read back as themselves") {
  CHECK(text("k = ", 3, ", rate = ", 0.1, ' ', true, ' ', std::string("end")) ==
        "k = 3, rate = 0.1 true end");
  CHECK(text(Index{-7}, '/', 1e300, '/', 0.1f) == "-7/1e+300/0.1");
  CHECK(text() == "");
  CHECK(text(Shape{2, 3}, Shape{}, Shape{0}) == "(2,3)()(0)");
}

TEST_CASE("fixed: a given count of decimals") {
  CHECK(fixed(0.5, 4) == "0.5000");
  CHECK(fixed(-2.25, 1) == "-2.2");
  CHECK(fixed(12, 0) == "12");
  CHECK(fixed(std::numeric_limits<double>::max(), 4).size() == 309 + 5);
}

TEST_CASE("require: joins its message only on failure, and throws the asked type") {
  CHECK_NOTHROW(require<ShapeError>(true, "never"));
  CHECK(error_text<ShapeError>([] { require<ShapeError>(false, "k is ", 3); }) == "k is 3");
  CHECK_THROWS_AS(fail<FileError>("x"), Error);
  CHECK_THROWS_AS(fail<DeviceError>("x"), std::runtime_error);
}

TEST_CASE("shape: extents, negative positions, comparison") {
  const Shape s{2, 3, 5};
  CHECK(s.rank() == 3);
  CHECK(s.numel() == 30);
  CHECK(s[-1] == 5);
  CHECK(s[0] == 2);
  CHECK(s == Shape{2, 3, 5});
  CHECK(s != Shape{2, 3});
  CHECK(s != Shape{2, 3, 6});
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{4, 0, 2}.numel() == 0);
  CHECK(s.axis(-3, "op") == 0);
}

TEST_CASE("shape: what is refused") {
  const Shape s{2, 3};
  CHECK(error_text<ShapeError>([&] { s[2]; }) == "shape: axis 2 is out of range for rank 2");
  CHECK(error_text<ShapeError>([&] { s.axis(-3, "softmax"); }) ==
        "softmax: axis -3 is out of range for rank 2");
  CHECK(error_text<ShapeError>([] { Shape{2, -1}; }) == "shape: extent -1 is negative");
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  Shape full{1, 1, 1, 1, 1, 1, 1, 1};
  CHECK_THROWS_AS(full.push_back(1), ShapeError);
  CHECK_THROWS_AS(full.set(0, -2), ShapeError);
  constexpr Index big = Index{1} << 32;
  CHECK_THROWS_AS((Shape{big, big}.numel()), ShapeError);
  CHECK(Shape{big, big, 0}.numel() == 0);
}
