// Losses against closed forms, at extreme logits, and what they refuse. PyTorch's own numbers are in golden/.
#include "close.hpp"
#include "tenon/nn/loss.hpp"

using namespace tenon;
using namespace tenon::nn;
using doctest::Approx;
using testing::error_text;

namespace {

Var<double> matrix(Index rows, Index columns, std::initializer_list<double> values) {
  return Var<double>(Tensor<double>({rows, columns}, values), {.requires_grad = true});
}

bool all_finite(const Tensor<float>& x) {
  const auto values = x.to_vector();
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

TEST_CASE("cross_entropy: equal logits cost log(classes); the gradient is (softmax - target)/N") {
  const auto x = matrix(2, 4, {3, 3, 3, 3, 0, 0, 0, 0});
  const auto loss = cross_entropy(x, Labels({2}, {1, 3}));
  CHECK(loss.item() == Approx(std::log(4)));
  loss.backward();
  const std::vector<double> expected = {0.125, -0.375, 0.125, 0.125, 0.125, 0.125, 0.125, -0.375};
  for (std::size_t i = 0; i < 8; ++i) CHECK(x.grad().to_vector()[i] == Approx(expected[i]));
}

TEST_CASE("cross_entropy: mean, sum, none") {
  const auto x = matrix(2, 2, {0, std::log(3), std::log(4), 0});
  const Labels labels({2}, {0, 0});
  const double a = std::log(4), b = std::log(1.25);
  CHECK(cross_entropy(x, labels).item() == Approx((a + b) / 2));
  CHECK(cross_entropy(x, labels, {.reduction = Reduction::sum}).item() == Approx(a + b));
  const auto each = cross_entropy(x, labels, {.reduction = Reduction::none});
  CHECK(each.shape() == Shape{2});
  CHECK(each.value().at({0}) == Approx(a));
  CHECK(each.value().at({1}) == Approx(b));
}

TEST_CASE("cross_entropy: label smoothing, by labels and by distributions") {
  const auto x = matrix(1, 2, {std::log(4), 0});
  // Targets 0.95 and 0.05: -0.95·log 0.8 - 0.05·log 0.2.
  const double expected = -0.95 * std::log(0.8) - 0.05 * std::log(0.2);
  CHECK(cross_entropy(x, Labels({1}, {0}), {.label_smoothing = 0.1}).item() == Approx(expected));
  CHECK(cross_entropy(x, Tensor<double>({1, 2}, {1, 0}), {.label_smoothing = 0.1}).item() ==
        Approx(expected));
  CHECK(cross_entropy(x, Tensor<double>({1, 2}, {0.95, 0.05})).item() == Approx(expected));
  for (const double share : {-0.1, 1.1, std::nan("")}) {
    CHECK_THROWS_AS(cross_entropy(x, Labels({1}, {0}), {.label_smoothing = share}), ValueError);
    CHECK_THROWS_AS(cross_entropy(x, Tensor<double>({1, 2}, {1, 0}), {.label_smoothing = share}), ValueError);
  }
}

TEST_CASE("nll_loss, mse_loss, bce_with_logits: closed forms") {
  const auto p = matrix(2, 2, {-1, -2, -3, -4});
  CHECK(nll_loss(p, Labels({2}, {1, 0})).item() == Approx(2.5));
  CHECK(nll_loss(p, Labels({2}, {1, 0}), Reduction::sum).item() == Approx(5));

  const auto x = matrix(1, 3, {1, 2, 3}), y = matrix(1, 3, {0, 4, 3});
  CHECK(mse_loss(x, y).item() == Approx(5.0 / 3));
  CHECK(mse_loss(x, y, Reduction::sum).item() == Approx(5));
  CHECK(mse_loss(x, y, Reduction::none).value().to_vector() == std::vector<double>{1, 4, 0});

  const auto z = matrix(1, 2, {0, std::log(3)});
  const Tensor<double> target({1, 2}, {0.25, 1});
  CHECK(bce_with_logits(z, target, Reduction::sum).item() == Approx(std::log(2) + std::log(4.0 / 3)));
}

TEST_CASE("losses stay finite at extreme logits, and so do their gradients") {
  for (const float big : {1e4f, -1e4f, 1e30f}) {
    const Var<float> x(Tensor<float>({2, 3}, {big, 0, -big, -big, big, 0}), {.requires_grad = true});
    const auto loss = cross_entropy(x, Labels({2}, {0, 0}));
    CHECK(std::isfinite(loss.item()));
    loss.backward();
    CHECK(all_finite(x.grad()));
    const Var<float> z(x.value(), {.requires_grad = true});
    const auto binary = bce_with_logits(z, Tensor<float>({2, 3}, {0, 1, 0.5, 1, 0, 1}));
    CHECK(std::isfinite(binary.item()));
    binary.backward();
    CHECK(all_finite(z.grad()));
  }
  const Var<float> x(Tensor<float>({1, 2}, {1e4f, -1e4f}));
  CHECK(cross_entropy(x, Labels({1}, {0})).item() == 0);
  CHECK(cross_entropy(x, Labels({1}, {1})).item() == Approx(2e4));
  CHECK(bce_with_logits(x, Tensor<float>({1, 2}, {0, 1}), Reduction::sum).item() == Approx(2e4));
}

TEST_CASE("losses: what is refused") {
  const auto x = matrix(2, 3, {0, 0, 0, 0, 0, 0});
  CHECK(error_text<ValueError>([&] {
          cross_entropy(x, Labels({2}, {0, 3}));
        }) == "label 3 of sample 1 is out of range for 3 classes");
  CHECK(error_text<ValueError>([&] {
          nll_loss(x, Labels({2}, {-1, 0}));
        }) == "label -1 of sample 0 is out of range for 3 classes");
  CHECK(error_text<ShapeError>([&] {
          cross_entropy(x, Labels({3}, {0, 0, 0}));
        }) == "cross_entropy: logits (2,3) and labels (3), expected (N,classes) and (N)");
  CHECK(error_text<ShapeError>([&] {
          cross_entropy(x, Tensor<double>::ones({2, 2}));
        }) == "cross_entropy: logits (2,3) and targets (2,2), expected (N,classes) twice");
  CHECK(error_text<ShapeError>([&] {
          mse_loss(x, matrix(1, 3, {0, 0, 0}));
        }) == "mse_loss: prediction (2,3) and target (1,3) differ");
  CHECK(error_text<ShapeError>([&] {
          bce_with_logits(x, Tensor<double>::ones({3, 2}));
        }) == "bce_with_logits: logits (2,3) and targets (3,2) differ");
  CHECK_THROWS_AS(nll_loss(x, Labels({1}, {0})), ShapeError);
}

TEST_CASE("a masked class that is no target leaves loss and gradient finite") {
  const double infinity = std::numeric_limits<double>::infinity();
  tenon::Var<double> logits(tenon::Tensor<double>({1, 3}, {1.0, -infinity, 2.0}), {.requires_grad = true});
  const auto loss = tenon::nn::cross_entropy(logits, tenon::nn::Labels({1}, {2}));
  loss.backward();
  CHECK(!(std::abs(loss.item() - std::log1p(std::exp(-1.0))) > 1e-12));
  CHECK(std::isfinite(loss.item()));
  CHECK(logits.grad().at({0, 1}) == 0.0);
  CHECK(!(std::abs(logits.grad().at({0, 0}) - 1 / (1 + std::exp(1.0))) > 1e-12));
}
