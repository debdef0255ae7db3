// ResNet-18 … 152: parameter counts and names as in torchvision, agreement with PyTorch, gradients
// everywhere.
#include "close.hpp"
#include "tenon/models/resnet.hpp"

using namespace tenon;
using models::ResNet;
using testing::contains;
using testing::error_of;
using testing::error_text;

namespace {

// The formula of resnet_golden.py: sin of a sum that gives each axis, in PyTorch's order, a step of its own.
double wave(std::initializer_list<Index> position, int at) {
  constexpr double steps[] = {0.7, 1.3, 2.1, 2.9};
  double phase = 1 + 0.37 * at;
  int axis = 0;
  for (const Index i : position) phase += steps[axis++] * static_cast<double>(i);
  return std::sin(phase);
}

Tensor<double> wave_picture(Index n, Index h, Index w) {
  Tensor<double> x({n, h, w, 3});
  for (Index b = 0; b < n; ++b) {
    for (Index i = 0; i < h * w * 3; ++i)
      x.at({b, i / 3 / w, i / 3 % w, i % 3}) = wave({b, i % 3, i / 3 / w, i / 3 % w}, 0);
  }
  return x;
}

void fill_by_formula(ResNet<double>& model) {
  auto state = nn::state_dict(model);
  int at = 0;
  for (auto& [name, value] : state) {
    const Shape s = value.shape();
    for (Index i = 0; i < value.numel(); ++i) {
      double& w = value.data()[i];
      if (s.rank() == 4) {  // (O,KH,KW,C)
        w = wave({i / (s[1] * s[2] * s[3]), i % s[3], i / (s[2] * s[3]) % s[1], i / s[3] % s[2]}, at);
      } else if (s.rank() == 2) {
        w = wave({i / s[1], i % s[1]}, at);
      } else {
        w = wave({i}, at);
      }
      if (s.rank() > 1) {
        w *= std::sqrt(2.0 * static_cast<double>(s[0]) / static_cast<double>(s.numel()));
      } else {
        w = name.ends_with("running_var") ? 1 + 0.5 * w : name.ends_with("weight") ? 1 + 0.1 * w : 0.1 * w;
      }
    }
    ++at;
  }
  nn::load_state_dict(model, state);
}

struct Golden {
  int depth;
  bool training;
  std::vector<double> logits;  // (2,4)
};

}  // namespace

TEST_CASE("ResNet: parameter counts") {
  Rng rng(1);
  for (const auto& [depth, count] : {std::pair{18, 11689512}, {34, 21797672}, {50, 25557032}}) {
    ResNet<float> net({.depth = depth}, rng);
    CHECK(nn::parameter_count(net) == count);
  }
  ResNet<float> ten({.depth = 18, .classes = 10}, rng);
  CHECK(nn::parameter_count(ten) == 11689512 - 990 * 513);
  const auto error = error_text<ValueError>([&] { ResNet<float>({.depth = 20}, rng); });
  CHECK_MESSAGE(contains(error, "depth is 20"), error);
}

TEST_CASE("ResNet: the plan of the deep ones") {
  const auto blocks = [](int depth) { return models::detail::resnet_plan(depth).blocks; };
  CHECK(blocks(101) == std::array<int, 4>{3, 4, 23, 3});
  CHECK(blocks(152) == std::array<int, 4>{3, 8, 36, 3});
}

TEST_CASE("ResNet-50: entries are named as in torchvision") {
  Rng rng(1);
  ResNet<float> net({}, rng);
  std::vector<std::string> expected = {"conv1"}, found;
  const auto layer = [&](const std::string& name) { expected.push_back(name); };
  layer("bn1");
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string at = text("layer", stage + 1, ".", block, ".");
      for (const char* part : {"conv1", "bn1", "conv2", "bn2", "conv3", "bn3"}) layer(at + part);
      if (block == 0) layer(at + "downsample.0"), layer(at + "downsample.1");
    }
  }
  layer("fc");
  for (const auto& [name, value] : nn::state_dict(net)) {
    const auto owner = name.substr(0, name.rfind('.'));
    if (found.empty() || found.back() != owner) found.push_back(owner);
  }
  CHECK(found == expected);
  CHECK(net.layer2[0].conv1.geometry.stride.h == 1);
  CHECK(net.layer2[0].conv2.geometry.stride.h == 2);
  CHECK(net.layer2[0].downsample->get<0>().geometry.stride.h == 2);
}

TEST_CASE("ResNet: fan-out initialisation, and blocks that start as the identity") {
  Rng rng(2);
  ResNet<float> net({.depth = 18, .classes = 4, .zero_init_residual = true}, rng);
  const auto& w = net.layer3[1].conv1.weight.value();  // (256,3,3,256)
  const double expected = std::sqrt(2.0 / (9 * 256));
  const double found = std::sqrt(static_cast<double>(mean(w * w).item()));
  CHECK_MESSAGE(std::abs(found / expected - 1) < 0.02, found);
  auto& block = net.layer1[1];
  const auto x = Tensor<float>::uniform({2, 5, 5, 64}, rng, 0, 1);
  CHECK(testing::same_bits(block(Var<float>(x)).value(), x));
}

// Not ResNet-50 while training: with these weights some batch variances nearly vanish, and rounding decides.
TEST_CASE("ResNet: logits as PyTorch's (resnet_golden.py)") {
  const std::vector<Golden> cases = {
      {18,
       false,
       {0.0598992017382689, 0.0959942269002229, 0.0869416671998294, 0.0369990829143337, 0.0601805791685575,
        0.0960648177105024, 0.0867682714290135, 0.0366632513028207}},
      {18,
       true,
       {0.0225640496731539, 0.0608419982171335, 0.0705050043171069, 0.0470084052157042, 0.0242952193430565,
        0.0550227795323767, 0.0598722667529577, 0.0365628913896615}},
      {50,
       false,
       {-0.0886625018549112, -0.0346354817490012, 0.0356811466177925, 0.0892163741969447, -0.0887206661079401,
        -0.0346352311399761, 0.0357396942235312, 0.0893056829455865}}};
  const auto x = wave_picture(2, 40, 36);
  for (const auto& golden : cases) {
    Rng rng(1);
    ResNet<double> net({.depth = golden.depth, .classes = 4}, rng);
    fill_by_formula(net);
    nn::set_training(net, golden.training);
    const NoGrad no_grad;
    const auto y = net(Var<double>(x)).value();
    const double error = error_of(y, Tensor<double>({2, 4}, golden.logits));
    CHECK_MESSAGE(error <= 1e-9, golden.depth, golden.training ? " training " : " evaluation ", error);
  }
}

TEST_CASE("ResNet: a training step reaches every parameter") {
  for (const int depth : {18, 50}) {
    Rng rng(3);
    ResNet<float> net({.depth = depth, .classes = 5}, rng);
    const auto x = Tensor<float>::normal({2, 64, 64, 3}, rng);
    const auto y = net(Var<float>(x));
    CHECK(y.shape() == Shape{2, 5});
    nn::cross_entropy(y, nn::Labels({2}, {1, 4})).backward();
    for (const auto& p : nn::named_parameters(net)) {
      REQUIRE_MESSAGE(p.var.grad().defined(), p.name);
      const auto& g = p.var.grad();
      const float size = sum(g * g).item();
      CHECK_MESSAGE((size > 0 && size < 1e10f), p.name, " ", size);
    }
  }
}
