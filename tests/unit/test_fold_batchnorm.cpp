// Folding batch normalisation into convolutions: the same outputs, nothing shared with the original, and
// other normalisations left alone.
#include <thread>

#include "close.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/models/resnet.hpp"
#include "tenon/nn/fold_batchnorm.hpp"

using namespace tenon;
using testing::error_of;
using testing::same_bits;

namespace {

// Scales, shifts and statistics as after training, so that folding has something to do.
template <class M>
void disturb(M& model, Rng& rng) {
  using T = nn::ValueOf<M>;
  nn::walk(model, "", [&](const std::string&, auto& part) {
    if constexpr (requires { part.running_var; }) {
      const Shape s = part.running_mean.shape();
      part.running_mean = Tensor<T>::normal(s, rng) * 0.2;
      part.running_var = Tensor<T>::uniform(s, rng, 0.5, 2);
      part.weight.value() = Tensor<T>::uniform(s, rng, 0.5, 1.5);
      part.bias.value() = Tensor<T>::normal(s, rng) * 0.2;
    }
  });
}

template <class M>
Index folded_count(M& model) {
  Index count = 0;
  nn::walk(model, "", [&](const std::string&, auto& part) {
    if constexpr (requires { part.folded; }) count += part.folded;
  });
  return count;
}

// Folds a disturbed copy and compares; `folds` is how many normalisations should go.
template <class M>
void check_same(M model, const Shape& input, Index folds) {
  using T = nn::ValueOf<M>;
  Rng rng(4);
  disturb(model, rng);
  const Var<T> x(Tensor<T>::normal(input, rng));
  auto folded = nn::fold_batchnorm(model);
  CHECK(folded_count(folded) == folds);
  CHECK(folded_count(model) == 0);
  nn::set_training(model, false);
  const NoGrad no_grad;
  const double error = error_of(folded(x).value(), model(x).value());
  const double bound = std::same_as<T, float> ? 1e-5 : 1e-12;
  CHECK_MESSAGE(error <= bound, error);
}

template <class T>
void check_all() {
  Rng rng(1);
  using nn::BatchNorm2d, nn::Conv2d;
  check_same(
      nn::Sequential(Conv2d<T>({.in = 3, .out = 8, .kernel = 3}, rng), BatchNorm2d<T>({.channels = 8}),
                     nn::ReLU{}, Conv2d<T>({.in = 8, .out = 6, .kernel = 3, .groups = 2, .bias = false}, rng),
                     BatchNorm2d<T>({.channels = 6})),
      {2, 9, 7, 3}, 2);
  check_same(models::LeNetTwin<T>({}, rng), {2, 32, 32, 3}, 3);
  check_same(models::CifarResNet<T>({.depth = 14, .shortcut = models::Shortcut::projection}, rng),
             {2, 16, 16, 3}, 15);
  check_same(models::ResNet<T>({.depth = 18, .classes = 7}, rng), {1, 64, 48, 3}, 20);
}

}  // namespace

TEST_CASE("fold_batchnorm: the outputs stay, float") { check_all<float>(); }
TEST_CASE("fold_batchnorm: the outputs stay, double") { check_all<double>(); }

TEST_CASE("fold_batchnorm: a normalisation that does not follow a convolution of its width stays") {
  Rng rng(2);
  using nn::BatchNorm2d, nn::Conv2d;
  const auto conv = [&] { return Conv2d<double>({.in = 4, .out = 4, .kernel = 3, .padding = 1}, rng); };
  const auto norm = [] { return BatchNorm2d<double>({.channels = 4}); };
  check_same(nn::Sequential(norm(), conv()), {2, 5, 5, 4}, 0);
  check_same(nn::Sequential(conv(), nn::ReLU{}, norm()), {2, 5, 5, 4}, 0);
  check_same(nn::Sequential(nn::Sequential(conv()), norm()), {2, 5, 5, 4}, 0);
  check_same(nn::Sequential(conv(), norm(), norm()), {2, 5, 5, 4}, 1);
}

TEST_CASE("fold_batchnorm: the original keeps its parameters and can be trained further") {
  Rng rng(3);
  models::TwinBlock<double, Cpu> block(3, true, rng);
  disturb(block, rng);
  const Var<double> x(Tensor<double>::normal({2, 6, 6, 3}, rng));
  auto folded = nn::fold_batchnorm(block);
  CHECK(block.bn.training);
  CHECK(block.conv.weight.requires_grad());
  CHECK_FALSE(folded.conv.weight.requires_grad());
  CHECK(nn::parameter_count(folded) == nn::parameter_count(block) - 2 * 3);

  const auto before = folded(x).value();
  sum(block(x)).backward();
  for (auto& p : nn::parameters(block)) {
    REQUIRE(p.grad().defined());
    p.value().fill_(9);
  }
  block.bn.running_mean.fill_(9);
  CHECK(same_bits(folded(x).value(), before));

  auto again = nn::fold_batchnorm(folded);  // nothing left to fold
  CHECK(same_bits(again(x).value(), before));
}

TEST_CASE("fold_batchnorm: weights that are written again are prepared again") {
  Rng rng(5);
  models::ResNet<float> first({.depth = 18, .classes = 7}, rng), second({.depth = 18, .classes = 7}, rng);
  disturb(first, rng);
  disturb(second, rng);
  const Var<float> x(Tensor<float>::normal({2, 64, 48, 3}, rng));
  const NoGrad no_grad;
  auto folded = nn::fold_batchnorm(first), other = nn::fold_batchnorm(second);
  const auto expected = other(x).value(), before = folded(x).value();
  CHECK_FALSE(same_bits(before, expected));
  CHECK(same_bits(folded(x).value(), before));  // now with the weights as they were prepared
  nn::load_state_dict(folded, nn::state_dict(other));
  CHECK(same_bits(folded(x).value(), expected));
}

TEST_CASE("fold_batchnorm: several threads may use one model at once, from its first call on") {
  Rng rng(6);
  auto model = nn::fold_batchnorm(models::ResNet<float>({.depth = 18, .classes = 7}, rng));
  const Var<float> x(Tensor<float>::normal({1, 64, 64, 3}, rng));
  std::vector<Tensor<float>> found(4);
  std::vector<std::thread> threads;
  for (auto& y : found) {
    threads.emplace_back([&model, &x, &y] {
      const NoGrad no_grad;
      y = model(x).value();
    });
  }
  for (auto& t : threads) t.join();
  const NoGrad no_grad;
  const auto alone = model(x).value();
  for (const auto& y : found) CHECK(same_bits(y, alone));
}
