// Gradient checking is checked itself: wrong derivatives of every kind must be caught.
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "tenon/autograd/autograd.hpp"

using namespace tenon;

namespace {

using V = const std::vector<Var<double>>&;
const std::vector<Tensor<double>> input{Tensor<double>({2, 3}, {0.5, -0.25, 1, 2, -1, 0.75})};

bool names(const GradCheckReport& report, const std::string& what) {
  return !report.ok && report.message.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("grad_check: accepts a right derivative") {
  const auto report = grad_check([](V x) { return x[0] * x[0]; }, input);
  CHECK_MESSAGE(report.ok, report.message);
  CHECK(report.worst < 1e-8);
}

TEST_CASE("grad_check: catches a wrong derivative") {
  const auto off = [](double factor) {
    return grad_check(
        [=](V x) {
          return record(square(x[0].value()), {x[0]},
                        [=, a = x[0]](const Tensor<double>& dy) { a.accumulate(dy * a.value() * factor); });
        },
        input);
  };
  CHECK(off(2).ok);
  CHECK(names(off(2.001), "input 0, element 0: backward gives"));
  CHECK(names(off(-2), "finite differences give"));
}

TEST_CASE("grad_check: catches one wrong element") {
  const auto report = grad_check(
      [](V x) {
        return record(x[0].value() * 3, {x[0]}, [a = x[0]](const Tensor<double>& dy) {
          auto dx = dy * 3;
          dx.span()[4] = 0;
          a.accumulate(dx);
        });
      },
      input);
  CHECK(names(report, "element 4"));
}

TEST_CASE("grad_check: catches a missing contribution") {
  const auto two = std::vector{input[0], input[0] + 1};
  const auto report = grad_check(
      [](V x) {
        return record(x[0].value() * x[1].value(), {x[0], x[1]},
                      [a = x[0], b = x[1]](const Tensor<double>& dy) { a.accumulate(dy * b.value()); });
      },
      two);
  CHECK(names(report, "input 1"));
}

TEST_CASE("grad_check: catches NaN") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(grad_check(
                  [=](V x) {
                    return record(x[0].value() * 2, {x[0]},
                                  [=, a = x[0]](const Tensor<double>& dy) { a.accumulate(dy * nan); });
                  },
                  input)
                  .ok);
  CHECK_FALSE(grad_check([](V x) { return log(x[0]); }, input).ok);  // of negative numbers
}

TEST_CASE("grad_check: catches an operation that ignores its inputs") {
  CHECK(names(grad_check([](V x) { return Var<double>(x[0].value()); }, input),
              "does not depend on its inputs"));
  const auto constant = grad_check(
      [](V x) {
        return record(Tensor<double>::ones(x[0].shape()), {x[0]},
                      [a = x[0]](const Tensor<double>& dy) { a.accumulate(dy * 0); });
      },
      input);
  CHECK(names(constant, "the result is constant"));
}

TEST_CASE("grad_check: catches an operation that overwrites the gradient instead of adding") {
  const auto report = grad_check(
      [](V x) {
        return record(x[0].value() * 2, {x[0]}, [a = x[0]](const Tensor<double>& dy) {
          auto leaf = a;
          leaf.set_grad(dy * 2);
        });
      },
      input);
  CHECK(names(report, "input 0, element 0"));
}

TEST_CASE("grad_check: catches a gradient of another shape") {
  CHECK_THROWS_WITH_AS(grad_check(
                           [](V x) {
                             return record(x[0].value() * 2, {x[0]}, [a = x[0]](const Tensor<double>& dy) {
                               a.accumulate(sum(dy, {.axes = {0}}));
                             });
                           },
                           input),
                       "accumulate: gradient of shape (3) for a value of shape (2,3)", ShapeError);
}
