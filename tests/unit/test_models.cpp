// The networks: parameter counts, names as in PyTorch's ports, shapes, and learning a batch by heart.
#include "close.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/optim/sgd.hpp"

using namespace tenon;
using namespace tenon::models;
using testing::error_text;

namespace {

template <class M>
std::vector<std::string> state_names(M& model) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : nn::state_dict(model)) names.push_back(name);
  return names;
}

void add(std::vector<std::string>& names, const std::string& layer,
         std::initializer_list<const char*> parts) {
  for (const char* part : parts) names.push_back(layer + "." + part);
}

// The loss of one fixed batch before and after some steps of SGD.
template <class M>
std::pair<float, float> learn(M& model, int steps) {
  Rng rng(5);
  const auto x = Tensor<float>::normal({8, 32, 32, 3}, rng);
  const nn::Labels labels({8}, {0, 1, 2, 3, 4, 5, 6, 7});
  Sgd optimiser(nn::parameters(model), {.lr = 0.05, .momentum = 0.9});
  float first = 0, last = 0;
  for (int s = 0; s < steps; ++s) {
    const auto loss = nn::cross_entropy(model(Var<float>(x)), labels);
    last = loss.item();
    if (s == 0) first = last;
    optimiser.zero_grad();
    loss.backward();
    for (const auto& p : nn::named_parameters(model)) CHECK_MESSAGE(p.var.grad().defined(), p.name);
    optimiser.step();
  }
  return {first, last};
}

}  // namespace

TEST_CASE("parameter counts") {
  Rng rng(1);
  LeNet5<float> lenet5({}, rng);
  CHECK(nn::parameter_count(lenet5) == 62006);
  for (const bool residual : {false, true}) {
    LeNetTwin<float> twin({.residual = residual}, rng);
    CHECK(nn::parameter_count(twin) == 64790);
  }
  // He et al. 2016, table 6, in thousands: 270, 460, 660, 850, 1730.
  for (const auto& [depth, count] :
       {std::pair{20, 269722}, {32, 464154}, {44, 658586}, {56, 853018}, {110, 1727962}}) {
    CifarResNet<float> net({.depth = depth}, rng);
    CHECK(nn::parameter_count(net) == count);
  }
  CifarResNet<float> projected({.shortcut = Shortcut::projection}, rng);
  CHECK(nn::parameter_count(projected) == 269722 + (16 * 32 + 64) + (32 * 64 + 128));
}

TEST_CASE("CifarResNet: entries are named as in PyTorch") {
  Rng rng(1);
  std::vector<std::string> expected = {"conv1.weight"};
  const auto norm = {"weight", "bias", "running_mean", "running_var"};
  add(expected, "bn1", norm);
  for (int stage = 1; stage <= 3; ++stage) {
    for (int block = 0; block < 2; ++block) {
      const std::string at = text("layer", stage, ".", block);
      add(expected, at + ".conv1", {"weight"});
      add(expected, at + ".bn1", norm);
      add(expected, at + ".conv2", {"weight"});
      add(expected, at + ".bn2", norm);
      if (stage > 1 && block == 0) {
        add(expected, at + ".shortcut.0", {"weight"});
        add(expected, at + ".shortcut.1", norm);
      }
    }
  }
  add(expected, "linear", {"weight", "bias"});
  CifarResNet<float> projected({.depth = 14, .shortcut = Shortcut::projection}, rng);
  CHECK(state_names(projected) == expected);
  std::erase_if(expected, [](const std::string& name) { return name.find("shortcut") != name.npos; });
  CifarResNet<float> plain({.depth = 14}, rng);
  CHECK(state_names(plain) == expected);
}

TEST_CASE("LeNet-5: entries") {
  Rng rng(1);
  LeNet5<float> net({}, rng);
  CHECK(state_names(net) == std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight",
                                                     "conv2.bias", "fc1.weight", "fc1.bias", "fc2.weight",
                                                     "fc2.bias", "fc3.weight", "fc3.bias"});
}

TEST_CASE("option A: every second pixel, new channels of zeros on both sides") {
  const Var<double> x(Tensor<double>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const auto y = models::detail::option_a(x, 4, 2);
  CHECK(y.shape() == Shape{1, 2, 2, 4});
  CHECK(y.value().to_vector() == std::vector<double>{0, 1, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0});
}

TEST_CASE("residual blocks: with the branch silent, only the shortcut is left") {
  Rng rng(2);
  const auto x = Tensor<float>::uniform({2, 4, 4, 16}, rng, -1, 1);
  BasicBlock<float, Cpu> block(16, 16, 1, Shortcut::option_a, rng);
  block.bn2.weight.value().fill_(0);
  CHECK(testing::same_bits(block(Var<float>(x)).value(), relu(Var<float>(x)).value()));

  const auto three = Tensor<float>::uniform({2, 32, 32, 3}, rng, -1, 1);
  TwinBlock<float, Cpu> adds(3, true, rng), plain(3, false, rng);
  adds.bn.weight.value().fill_(0);
  plain.bn.weight.value().fill_(0);
  CHECK(testing::same_bits(adds(Var<float>(three)).value(), relu(Var<float>(three)).value()));
  CHECK(testing::same_bits(plain(Var<float>(three)).value(), Tensor<float>::zeros(three.shape())));
}

TEST_CASE("the twins start from the same weights and differ in the additions") {
  Rng one(3), two(3);
  LeNetTwin<float> plain({.residual = false}, one), residual({.residual = true}, two);
  const auto a = nn::state_dict(plain), b = nn::state_dict(residual);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].first == b[i].first);
    CHECK(testing::same_bits(a[i].second, b[i].second));
  }
  Rng rng(4);
  const Var<float> x(Tensor<float>::normal({2, 32, 32, 3}, rng));
  CHECK_FALSE(testing::same_bits(plain(x).value(), residual(x).value()));
}

TEST_CASE("CifarResNet: convolutions start as He et al. 2015 say") {
  Rng rng(1);
  CifarResNet<float> net({}, rng);
  double square = 0;
  const auto& weight = net.layer3[1].conv1.weight.value();  // (64,3,3,64): fan_in 576
  for (const float v : weight.span()) square += v * v / static_cast<double>(weight.numel());
  CHECK(std::sqrt(square) == doctest::Approx(std::sqrt(2.0 / 576)).epsilon(0.02));
}

TEST_CASE("models learn a batch by heart, and every parameter has a gradient") {
  Rng rng(1);
  const auto learns = [](auto&& model, int steps) {
    const auto [first, last] = learn(model, steps);
    CHECK(!(std::abs(first - std::log(10.0f)) > 1.5f));
    CHECK(!(last > 0.5f * first));
  };
  learns(LeNet5<float>({}, rng), 40);
  learns(LeNetTwin<float>({}, rng), 20);
  learns(CifarResNet<float>({.depth = 8}, rng), 12);
  learns(CifarResNet<float>({.depth = 8, .shortcut = Shortcut::projection}, rng), 12);
}

TEST_CASE("models: what is refused") {
  Rng rng(1);
  for (const int depth : {2, 7, 18, 21, -4}) {
    CHECK(error_text<ValueError>([&] { CifarResNet<float>({.depth = depth}, rng); }) ==
          text("CifarResNet: depth is ", depth, ", expected 6n + 2 (20, 32, 44, 56, 110)"));
  }
  CHECK_THROWS_AS(CifarResNet<float>({.classes = 0}, rng), ValueError);
  LeNet5<float> net({}, rng);
  CHECK_THROWS_AS(net(Var<float>(Tensor<float>::zeros({1, 28, 28, 3}))), ShapeError);
  CHECK_THROWS_AS(net(Var<float>(Tensor<float>::zeros({1, 32, 32, 1}))), ShapeError);
}
