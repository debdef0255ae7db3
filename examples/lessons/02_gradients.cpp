// Lesson 2. How does a program differentiate itself?
//
// Every operation on a Var remembers how to turn a gradient of its result into gradients of its operands.
// backward() starts with 1 at the end and walks this record back to the leaves: the chain rule, last step first.
#include <tenon/tenon.hpp>

#include <cmath>
#include <cstdio>

int main() {
  using namespace tenon;
  Var<double> x(Tensor<double>({3}, {0.5, 1.0, 2.0}), {.requires_grad = true});
  const auto y = sum(x * sin(x));  // Σ x·sin(x)
  y.backward();
  std::printf("y = %.6f\n", y.item());

  // By hand: d/dx x·sin(x) = sin(x) + x·cos(x).
  double worst = 0;
  for (Index i = 0; i < 3; ++i) {
    const double at = x.value().at({i}), by_hand = std::sin(at) + at * std::cos(at);
    std::printf("at %.1f: backward %.12f, by hand %.12f\n", at, x.grad().at({i}), by_hand);
    worst = std::max(worst, std::abs(x.grad().at({i}) - by_hand));
  }
  std::printf("largest difference %.1e\n", worst);
  return worst < 1e-12 ? 0 : 1;
}
