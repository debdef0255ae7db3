// Lesson 4. What does training a network look like, with nothing hidden?
//
// Two interleaved half-moons cannot be separated by a line; a network with one hidden layer bends the line. A step
// is: predict, measure the loss, differentiate it, move every parameter a little downhill.
#include <tenon/tenon.hpp>

#include <cmath>
#include <cstdio>
#include <numbers>

int main() {
  using namespace tenon;
  Rng rng(3);
  constexpr Index count = 400;
  Tensor<float> points({count, 2});
  nn::Labels labels({count});
  for (Index i = 0; i < count; ++i) {
    const bool upper = i % 2 == 0;
    const double angle = rng.uniform(0, std::numbers::pi), noise = 0.1 * rng.normal();
    points.at({i, 0}) = static_cast<float>(upper ? std::cos(angle) : 1 - std::cos(angle));
    points.at({i, 1}) = static_cast<float>((upper ? std::sin(angle) : 0.5 - std::sin(angle)) + noise);
    labels.at({i}) = upper ? 0 : 1;
  }

  auto net = nn::Sequential(nn::Linear({.in = 2, .out = 32}, rng), nn::ReLU{}, nn::Linear({.in = 32, .out = 2}, rng));
  Sgd optimizer(nn::parameters(net), {.lr = 0.5, .momentum = 0.9});
  for (int step = 0; step <= 200; ++step) {
    const auto loss = nn::cross_entropy(net(Var<float>(points)), labels);
    if (step % 50 == 0) std::printf("step %3d: loss %.4f\n", step, static_cast<double>(loss.item()));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  }

  const NoGrad guard;
  const auto predicted = argmax(net(Var<float>(points)).value());
  Index correct = 0;
  for (Index i = 0; i < count; ++i) correct += predicted.at({i}) == labels.at({i});
  std::printf("accuracy %.4f\n", static_cast<double>(correct) / count);
  return correct * 100 > count * 97 ? 0 : 1;
}
