// Moving averages of parameters.
#include "close.hpp"
#include "tenon/optim/averaging.hpp"

using namespace tenon;
using doctest::Approx;

namespace {

Var<double> parameter(double a, double b) {
  return Var<double>(Tensor<double>({2}, {a, b}), {.requires_grad = true});
}

}  // namespace

TEST_CASE("average: starts as the parameters, then follows them") {
  auto p = parameter(1, 2);
  WeightAverage average(std::vector{p}, {.decay = 0.75});
  p.value().fill_(4);
  average.update();
  CHECK(average.averages()[0].to_vector() == std::vector<double>{4, 4});
  p.value().fill_(8);
  average.update();
  average.update();
  CHECK(average.averages()[0].data()[0] == Approx(0.5625 * 4 + 0.4375 * 8));
  CHECK(average.updates() == 3);
  CHECK(p.value().to_vector() == std::vector<double>{8, 8});
}

TEST_CASE("average: a scope evaluates with the averages and brings the parameters back") {
  auto p = parameter(1, 2);
  WeightAverage average(std::vector{p}, {.decay = 0.5});
  average.update();
  p.value().fill_(3);
  average.update();
  const double* where = p.value().data();
  {
    const AverageScope scope(average);
    CHECK(p.value().to_vector() == std::vector<double>{2, 2.5});
    CHECK(p.value().data() == where);
    CHECK(testing::error_text<ValueError>([&] { average.update(); }) ==
          "WeightAverage: update while the averages stand in for the parameters");
  }
  CHECK(p.value().to_vector() == std::vector<double>{3, 3});
  CHECK(average.averages()[0].to_vector() == std::vector<double>{2, 2.5});
  average.update();
  CHECK(average.updates() == 3);
}

TEST_CASE("average: 16-bit parameters are averaged in float") {
  Var<half> p(Tensor<half>::ones({1}), {.requires_grad = true});
  WeightAverage average(std::vector{p}, {.decay = 0.999});
  average.update();
  p.value().fill_(half(2.0f));
  for (int i = 0; i < 1000; ++i) average.update();
  CHECK(average.averages()[0].item() == Approx(2 - std::pow(0.999, 1000)).epsilon(1e-4));
  const float exact = average.averages()[0].item();
  average.swap();
  average.swap();
  CHECK(average.averages()[0].item() == exact);
  CHECK(static_cast<float>(p.item()) == 2);
}

TEST_CASE("average: state and what is refused") {
  auto p = parameter(1, 2);
  WeightAverage average(std::vector{p}, {});
  average.update();
  std::vector<std::string> names;
  average.state([&](const std::string& name, auto&) { names.push_back(name); });
  CHECK(names == std::vector<std::string>{"updates", "average.0"});
  CHECK_THROWS_AS(WeightAverage(std::vector{p}, {.decay = 1.5}), ValueError);
  CHECK_THROWS_AS(WeightAverage(std::vector<Var<double>>{}, {}), ValueError);
}
