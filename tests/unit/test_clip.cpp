// Gradient clipping.
#include "close.hpp"
#include "tenon/optim/clip.hpp"

using namespace tenon;
using doctest::Approx;

namespace {

template <class T = double>
std::vector<Var<T>> with_gradients() {
  std::vector<Var<T>> params;
  for (const Index n : {2, 1, 3})
    params.emplace_back(Tensor<T>::zeros({n}), VarOptions{.requires_grad = true});
  params[0].set_grad(Tensor<T>({2}, {T(3), T(-4)}));
  params[2].set_grad(Tensor<T>({3}, {T(0), T(12), T(0)}));
  return params;  // the middle one has none
}

}  // namespace

TEST_CASE("clip_grad_norm: scales all gradients together") {
  auto params = with_gradients();
  CHECK(clip_grad_norm(params, 6.5) == 13);
  CHECK(params[0].grad().data()[0] == Approx(1.5).epsilon(1e-6));
  CHECK(params[2].grad().data()[1] == Approx(6).epsilon(1e-6));
  CHECK_FALSE(params[1].grad().defined());
  CHECK(grad_norm(params) <= 6.5);
}

TEST_CASE("clip_grad_norm: leaves small gradients and other holders alone") {
  auto params = with_gradients();
  const auto kept = params[0].grad();
  CHECK(clip_grad_norm(params, 100) == 13);
  CHECK(params[0].grad().data() == kept.data());
  clip_grad_norm(params, 1);
  CHECK(kept.to_vector() == std::vector<double>{3, -4});
  CHECK(clip_grad_norm(std::vector{params[1]}, 1) == 0);
}

TEST_CASE("clip_grad_norm: a norm that is not finite is returned, and nothing is changed") {
  for (const double bad :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    auto params = with_gradients();
    params[0].set_grad(Tensor<double>({2}, {3, bad}));
    CHECK_FALSE(std::isfinite(clip_grad_norm(params, 1)));
    CHECK(params[0].grad().data()[0] == 3);
  }
  auto params = with_gradients();
  CHECK(testing::error_text<ValueError>([&] { clip_grad_norm(params, -1); }) ==
        "clip_grad_norm: max_norm is -1, expected at least 0");
}

TEST_CASE("clip_grad_norm: half gradients whose squares overflow") {
  auto params = with_gradients<half>();
  params[2].set_grad(Tensor<half>::full({3}, half(1000.0f)));
  CHECK(clip_grad_norm(params, 1) == Approx(std::sqrt(3e6 + 25)));
}

TEST_CASE("clip_grad_value: limits every element") {
  auto params = with_gradients();
  clip_grad_value(params, 3.5);
  CHECK(params[0].grad().to_vector() == std::vector<double>{3, -3.5});
  CHECK(params[2].grad().to_vector() == std::vector<double>{0, 3.5, 0});
  CHECK_THROWS_AS(clip_grad_value(params, -1), ValueError);
}
