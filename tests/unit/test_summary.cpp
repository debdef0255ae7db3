// The table of a network: rows, totals, sizes, and that looking changes nothing.
#include "close.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/nn/nn.hpp"

using namespace tenon;
using namespace tenon::nn;
using testing::contains;

TEST_CASE("summary: LeNet-5, layer by layer") {
  Rng rng(1);
  models::LeNet5<float> net({}, rng);
  const Summary table = summary(net, {1, 32, 32, 3});
  const std::vector<SummaryRow> expected = {
      {"conv1", "Conv2d", {1, 28, 28, 6}, 456}, {"relu", "ReLU", {1, 28, 28, 6}, 0},
      {"pool", "MaxPool2d", {1, 14, 14, 6}, 0}, {"conv2", "Conv2d", {1, 10, 10, 16}, 2416},
      {"relu", "ReLU", {1, 10, 10, 16}, 0},     {"pool", "MaxPool2d", {1, 5, 5, 16}, 0},
      {"fc1", "Linear", {1, 120}, 48120},       {"relu", "ReLU", {1, 120}, 0},
      {"fc2", "Linear", {1, 84}, 10164},        {"relu", "ReLU", {1, 84}, 0},
      {"fc3", "Linear", {1, 10}, 850}};
  REQUIRE(table.rows.size() == expected.size());
  Index values = 0, parameters = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(table.rows[i].name == expected[i].name);
    CHECK(table.rows[i].kind == expected[i].kind);
    CHECK(table.rows[i].output == expected[i].output);
    CHECK(table.rows[i].parameters == expected[i].parameters);
    values += expected[i].output.numel();
    parameters += expected[i].parameters;
  }
  const double mb = 1024 * 1024;
  CHECK(table.parameters == 62006);
  CHECK(table.parameters == parameters);
  CHECK(table.trainable == 62006);
  CHECK(table.input_mb == doctest::Approx(3072 * 4 / mb));
  CHECK(table.parameters_mb == doctest::Approx(62006 * 4 / mb));
  CHECK(table.activations_mb == doctest::Approx(static_cast<double>(values) * 8 / mb));
}

TEST_CASE("summary: fused layers are seen as the layers one after the other") {
  Rng rng(1);
  models::CifarResNet<float> net({.depth = 8, .shortcut = models::Shortcut::projection}, rng);
  const Summary table = summary(net, {1, 32, 32, 3});
  std::string found;
  for (const auto& row : table.rows) found += row.name + " ";
  CHECK(contains(found,
                 "conv1 bn1 relu layer1.0.conv1 layer1.0.bn1 layer1.0.relu layer1.0.conv2 layer1.0.bn2 "
                 "layer1.0.relu layer2.0.conv1 layer2.0.bn1 layer2.0.relu layer2.0.conv2 layer2.0.bn2 "
                 "layer2.0.shortcut.0 layer2.0.shortcut.1 layer2.0.relu "));
  CHECK(table.rows[1].kind == "BatchNorm2d");
  CHECK(table.rows[1].output == Shape{1, 32, 32, 16});
}

TEST_CASE("summary: frozen parameters are not trainable; nested layers have dotted names") {
  Rng rng(1);
  auto net =
      Sequential(Sequential(Linear<double>({.in = 2, .out = 3}, rng), BatchNorm1d<double>({.channels = 3})),
                 Dropout({}, rng));
  net.get<0>().get<0>().weight.set_requires_grad(false);
  const Summary table = summary(net, {4, 2});
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0].name == "0.0");
  CHECK(table.rows[1].name == "0.1");
  CHECK(table.rows[1].kind == "BatchNorm1d");
  CHECK(table.rows[1].parameters == 6);
  CHECK(table.rows[2].name == "1");
  CHECK(table.parameters == 15);
  CHECK(table.trainable == 9);
}

TEST_CASE("summary: modes, statistics and generators are as before, also after an exception") {
  Rng rng(1);
  auto net = Sequential(Linear<double>({.in = 2, .out = 3}, rng), BatchNorm1d<double>({.channels = 3}),
                        Dropout({}, rng), Dropout({}, rng));
  net.get<3>().training = false;
  const auto before = state_dict(net);
  const RngState generator = net.get<2>().rng.state();
  const auto unchanged = [&] {
    CHECK(net.get<1>().training);
    CHECK(net.get<2>().training);
    CHECK_FALSE(net.get<3>().training);
    CHECK(net.get<2>().rng.state() == generator);
    CHECK(grad_enabled());
    const auto after = state_dict(net);
    for (std::size_t i = 0; i < before.size(); ++i) {
      CHECK(testing::same_bits(before[i].second, after[i].second));
    }
  };
  CHECK(summary(net, {1, 2}).rows.size() == 4);
  unchanged();
  CHECK_THROWS_AS(summary(net, {1, 5}), ShapeError);
  unchanged();
  CHECK(nn::detail::observer == nullptr);
  CHECK(summary(net, {7, 2}).rows.size() == 4);  // nothing is left of the one that failed
}

TEST_CASE("summary: as text, in either order of the axes") {
  Rng rng(1);
  models::LeNet5<float> net({}, rng);
  const Summary table = summary(net, {1, 32, 32, 3});
  const std::string ours = table.to_string(), theirs = table.to_string({.order = ShapeOrder::nchw});
  CHECK(contains(ours, "conv1 (Conv2d)"));
  CHECK(contains(ours, "(1,28,28,6)"));
  CHECK(contains(theirs, "(1,6,28,28)"));
  CHECK_FALSE(contains(theirs, "(1,28,28,6)"));
  CHECK(contains(ours, "48,120\n"));
  CHECK(contains(ours, "parameters: 62,006 (62,006 trainable)\n"));
  CHECK(contains(ours,
                 "input 0.01 MB, forward and backward pass 0.11 MB, parameters 0.24 MB, total 0.36 MB\n"));
}
