// Modules: names, lists and dictionaries of parameters, training mode, and what each layer computes or
// refuses.
#include "close.hpp"
#include "tenon/models/cifar_resnet.hpp"

using namespace tenon;
using namespace tenon::nn;
using testing::contains;
using testing::error_of;
using testing::error_text;
using testing::same_bits;

namespace {

// Every kind of part: parameters, a buffer, a generator, and modules inside std::optional, std::vector,
// Sequential.
struct Nest {
  using value_type = double;
  using device_type = Cpu;
  Rng rng{1};
  Linear<double> first{{.in = 2, .out = 3, .bias = false}, rng};
  std::optional<BatchNorm1d<double>> norm{BatchNorm1d<double>({.channels = 3})}, absent;
  std::vector<Dropout> drops{Dropout({.probability = 0.5}, rng), Dropout({.probability = 0.5}, rng)};
  Sequential<ReLU, Sequential<Dropout, BatchNorm1d<double>>> tail{
      ReLU{}, Sequential(Dropout({.probability = 0.5}, rng), BatchNorm1d<double>({.channels = 3}))};
  Tensor<double> buffer = Tensor<double>::full({2}, 7);

  void parts(auto&& visit) {
    visit("first", first);
    visit("norm", norm);
    visit("absent", absent);
    visit("drops", drops);
    visit("tail", tail);
    visit("buffer", buffer);
  }
  Var<double> operator()(const Var<double>& x) {
    auto y = (*norm)(first(x));
    for (auto& drop : drops) y = drop(y);
    return tail(y);
  }
};

template <class M>
std::vector<std::string> state_names(M& module) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(module)) names.push_back(name);
  return names;
}

template <class M>
std::vector<bool> modes(M& module) {
  std::vector<bool> found;
  walk(module, "", [&](const std::string&, auto& part) {
    if constexpr (requires { part.training; }) found.push_back(part.training);
  });
  return found;
}

Var<double> row(std::initializer_list<double> values) {
  return Var<double>(Tensor<double>({1, static_cast<Index>(values.size())}, values));
}

}  // namespace

TEST_CASE("named_parameters and state_dict: dotted names in the order of parts") {
  Nest nest;
  std::vector<std::string> names;
  for (const auto& p : named_parameters(nest)) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{"first.weight", "norm.weight", "norm.bias", "tail.1.1.weight",
                                          "tail.1.1.bias"});
  CHECK(parameters(nest).size() == 5);
  CHECK(parameter_count(nest) == 6 + 4 * 3);
  CHECK(state_names(nest) ==
        std::vector<std::string>{"first.weight", "norm.weight", "norm.bias", "norm.running_mean",
                                 "norm.running_var", "tail.1.1.weight", "tail.1.1.bias",
                                 "tail.1.1.running_mean", "tail.1.1.running_var", "buffer"});
}

TEST_CASE("parameters: handles to the module's own values") {
  Nest nest;
  parameters(nest)[0].value().fill_(5);
  CHECK(nest.first.weight.value().to_vector() == std::vector<double>(6, 5));
}

TEST_CASE("state_dict: a copy; load_state_dict brings it back") {
  Nest nest, other;
  const auto saved = state_dict(nest);
  nest.first.weight.value().fill_(0);
  nest.buffer.fill_(0);
  CHECK(saved[0].second.at({0, 0}) != 0);
  other.buffer.fill_(3);
  load_state_dict(other, saved);
  CHECK(same_bits(other.first.weight.value(), saved[0].second));
  CHECK(other.buffer.to_vector() == std::vector<double>{7, 7});
}

TEST_CASE("load_state_dict: names what does not fit, and nothing has changed") {
  Nest nest;
  const auto before = state_dict(nest);
  StateDict<double> good;
  for (const auto& [name, tensor] : before) good.emplace_back(name, Tensor<double>::full(tensor.shape(), 9));
  const auto refused = [&]<class E>(E*, const StateDict<double>& state) {
    const std::string message = error_text<E>([&] { load_state_dict(nest, state); });
    const auto after = state_dict(nest);
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(same_bits(after[i].second, before[i].second));
    return message;
  };
  constexpr ValueError* value = nullptr;
  constexpr ShapeError* shape = nullptr;

  auto state = good;
  state.pop_back();
  CHECK(refused(value, state) == "load_state_dict: no entry for buffer (2)");
  state = good;
  state.emplace_back("extra.weight", Tensor<double>::zeros({1}));
  CHECK(refused(value, state) == "load_state_dict: the model has no extra.weight");
  state = good;
  state[8].second = Tensor<double>::zeros({4});
  CHECK(refused(shape, state) == "load_state_dict: tail.1.1.running_var is (4), the model expects (3)");

  load_state_dict(nest, good);
  CHECK(nest.buffer.to_vector() == std::vector<double>{9, 9});
}

TEST_CASE("set_training: reaches modules in optional, vector and Sequential") {
  Nest nest;
  CHECK(modes(nest) == std::vector<bool>(5, true));
  set_training(nest, false);
  CHECK(modes(nest) == std::vector<bool>(5, false));
  CHECK_FALSE(nest.norm->training);
  CHECK_FALSE(nest.drops[1].training);
  CHECK_FALSE(nest.tail.get<1>().get<0>().training);
  set_training(nest, true);
  CHECK(modes(nest) == std::vector<bool>(5, true));
}

TEST_CASE("EvaluationScope: every module returns to its own mode, also after an exception") {
  Nest nest;
  nest.drops[0].training = false;
  const auto before = modes(nest);
  try {
    const EvaluationScope scope(nest);
    CHECK(modes(nest) == std::vector<bool>(5, false));
    throw ValueError("stop");
  } catch (const ValueError&) {}
  CHECK(modes(nest) == before);
}

TEST_CASE("Sequential: one after the other; Residual: body and shortcut add") {
  Rng rng(3);
  auto net = Sequential(Linear<double>({.in = 2, .out = 2}, rng), ReLU{});
  net.get<0>().weight.value().copy_(Tensor<double>({2, 2}, {1, 2, -3, -4}));
  net.get<0>().bias.value().copy_(Tensor<double>({2}, {0.5, 0.25}));
  CHECK(net(row({1, 1})).value().to_vector() == std::vector<double>{3.5, 0});
  CHECK(parameter_count(net) == 6);

  auto same = Residual(net);
  CHECK(same(row({1, 1})).value().to_vector() == std::vector<double>{4.5, 1});
  CHECK(state_names(same) == std::vector<std::string>{"body.0.weight", "body.0.bias"});
  auto projected = Residual(net, Linear<double>({.in = 2, .out = 2, .bias = false}, rng));
  projected.shortcut.weight.value().copy_(Tensor<double>({2, 2}, {1, 0, 1, 1}));
  CHECK(projected(row({1, 1})).value().to_vector() == std::vector<double>{4.5, 2});
  CHECK(state_names(projected) ==
        std::vector<std::string>{"body.0.weight", "body.0.bias", "shortcut.weight"});
}

TEST_CASE("Dropout: zeroes the right share, keeps the mean, and is the identity in evaluation") {
  Rng rng(4);
  Dropout drop({.probability = 0.3}, rng);
  const Var<double> x(Tensor<double>::ones({100000}));
  const auto y = drop(x).value().to_vector();
  const auto zeros = static_cast<double>(std::count(y.begin(), y.end(), 0.0));
  const auto kept = static_cast<double>(std::count(y.begin(), y.end(), 1 / 0.7));
  CHECK(zeros + kept == 100000);
  CHECK(!(std::abs(zeros / 100000 - 0.3) > 0.01));  // seven deviations
  CHECK(drop(x).value().to_vector() != y);          // the generator goes on

  const RngState state = drop.rng.state();
  set_training(drop, false);
  CHECK(same_bits(drop(x).value(), x.value()));
  CHECK(drop.rng.state() == state);

  Dropout none({.probability = 0}, rng);
  CHECK(same_bits(none(x).value(), x.value()));
  Rng one(9), two(9);
  Dropout a({.probability = 0.5}, one), b({.probability = 0.5}, two), c({.probability = 0.5}, two);
  const auto first = a(x);
  CHECK(same_bits(first.value(), b(x).value()));
  CHECK_FALSE(same_bits(first.value(), c(x).value()));
  CHECK(error_text<ValueError>([&] { Dropout({.probability = 1}, rng); }) ==
        "Dropout: probability is 1, expected 0 <= p < 1");
  CHECK_THROWS_AS(Dropout({.probability = std::nan("")}, rng), ValueError);
}

TEST_CASE("BatchNorm: training moves the running statistics, evaluation uses them") {
  BatchNorm1d<double> norm({.channels = 2, .momentum = 0.5, .eps = 0});
  const Var<double> x(Tensor<double>({2, 2}, {1, 10, 3, 30}));
  CHECK(error_of(norm(x).value(), Tensor<double>({2, 2}, {-1, -1, 1, 1})) <= 1e-14);
  CHECK(error_of(norm.running_mean, Tensor<double>({2}, {1, 10})) <= 1e-14);
  CHECK(error_of(norm.running_var, Tensor<double>({2}, {1.5, 100.5})) <= 1e-14);  // unbiased: 2 and 200
  norm.running_mean = Tensor<double>({2}, {1, 2});
  norm.running_var = Tensor<double>({2}, {4, 16});
  norm.weight.value().copy_(Tensor<double>({2}, {2, 1}));
  norm.bias.value().copy_(Tensor<double>({2}, {0, 5}));
  set_training(norm, false);
  CHECK(error_of(norm(x).value(), Tensor<double>({2, 2}, {0, 7, 2, 12})) <= 1e-14);
  CHECK(norm.running_mean.to_vector() == std::vector<double>{1, 2});
}

TEST_CASE("BatchNorm: what is refused") {
  CHECK(error_text<ValueError>([] { BatchNorm2d<float>(BatchNormOptions{}); }) ==
        "BatchNorm2d: channels is 0, expected at least 1");
  BatchNorm2d<double> two({.channels = 3});
  BatchNorm1d<double> one({.channels = 3});
  const auto x = [](const Shape& shape) { return Var<double>(Tensor<double>::zeros(shape)); };
  CHECK(error_text<ShapeError>([&] { two(x({4, 3})); }) == "BatchNorm2d: x (4,3), expected (N,H,W,C)");
  CHECK(error_text<ShapeError>([&] { one(x({1, 2, 2, 3})); }) == "BatchNorm1d: x (1,2,2,3), expected (N,C)");
  CHECK(contains(error_text<ShapeError>([&] {
                   one(x({4, 2}));
                 }),
                 "has 2 channels, the layer was made for 3"));
  CHECK(contains(error_text<ShapeError>([&] { one(x({1, 3})); }), "one value a channel"));
  one.training = false;
  CHECK(one(x({1, 3})).shape() == Shape{1, 3});
}

TEST_CASE("Linear and Conv2d: shapes, an absent bias, what is refused") {
  Rng rng(5);
  Linear<float> linear({.in = 3, .out = 4, .bias = false}, rng);
  CHECK(linear.weight.shape() == Shape{4, 3});
  CHECK_FALSE(linear.bias.defined());
  CHECK(parameter_count(linear) == 12);
  CHECK(linear(Var<float>(Tensor<float>::ones({2, 5, 3}))).shape() == Shape{2, 5, 4});
  CHECK(error_text<ValueError>([&] { Linear<float>({.in = 0, .out = 4}, rng); }) ==
        "Linear: in 0, out 4, expected at least 1");
  CHECK_THROWS_AS(linear(Var<float>(Tensor<float>::ones({2, 4}))), ShapeError);

  Conv2d<float> conv({.in = 4, .out = 6, .kernel = {3, 5}, .stride = 2, .padding = {1, 2}, .groups = 2}, rng);
  CHECK(conv.weight.shape() == Shape{6, 3, 5, 2});
  CHECK(conv.bias.shape() == Shape{6});
  CHECK(conv(Var<float>(Tensor<float>::ones({2, 7, 8, 4}))).shape() == Shape{2, 4, 4, 6});
  CHECK(error_text<ValueError>([&] { Conv2d<float>({.in = 4, .out = 6, .groups = 4}, rng); }) ==
        "Conv2d: groups 4 must divide in 4 and out 6");
  CHECK(contains(error_text<ValueError>([&] {
                   Conv2d<float>({.in = 4, .out = 6, .kernel = {3, 0}}, rng);
                 }),
                 "kernel (3,0)"));
}

TEST_CASE("layers without parameters") {
  const Var<double> x(Tensor<double>({1, 2, 2, 1}, {-1, 2, 3, -4}));
  CHECK(Identity{}(x).value().to_vector() == x.value().to_vector());
  CHECK(ReLU{}(x).value().to_vector() == std::vector<double>{0, 2, 3, 0});
  CHECK(LeakyReLU{.slope = 0.5}(x).value().to_vector() == std::vector<double>{-0.5, 2, 3, -2});
  CHECK(Sigmoid{}(x).value().at({0, 0, 0, 0}) == doctest::Approx(1 / (1 + std::exp(1))));
  CHECK(Tanh{}(x).value().at({0, 0, 1, 0}) == doctest::Approx(std::tanh(2)));
  CHECK(SiLU{}(x).value().at({0, 0, 1, 0}) == doctest::Approx(2 / (1 + std::exp(-2))));
  CHECK(GELU{}(x).value().at({0, 0, 1, 0}) == doctest::Approx(1 + std::erf(std::sqrt(2))));
  CHECK(GELU{.form = GeluForm::tanh}(x).value().at({0, 0, 1, 0}) == doctest::Approx(1.9545976940877752));
  CHECK(Softmax{.axis = 2}(x).value().at({0, 0, 0, 0}) == doctest::Approx(1 / (1 + std::exp(3))));
  CHECK(MaxPool2d({.kernel = 2})(x).value().to_vector() == std::vector<double>{3});
  CHECK(AvgPool2d({.kernel = 2})(x).value().to_vector() == std::vector<double>{0});
  CHECK(AdaptiveAvgPool2d{{2, 1}}(x).value().to_vector() == std::vector<double>{0.5, -0.5});
  CHECK(GlobalAvgPool2d{}(x).shape() == Shape{1, 1});
  CHECK(Upsample{}(x).value().to_vector() ==
        std::vector<double>{-1, -1, 2, 2, -1, -1, 2, 2, 3, 3, -4, -4, 3, 3, -4, -4});
  CHECK(Upsample{.mode = UpsampleMode::bilinear, .align_corners = true}(x).value().at({0, 0, 1, 0}) ==
        doctest::Approx(0));
  CHECK(error_text<ShapeError>([&] { Upsample{}(row({1})); }) == "Upsample: x (1,1), expected (N,H,W,C)");
  CHECK(Flatten{}(x).shape() == Shape{1, 4});
  CHECK(Flatten{.first = 2}(x).shape() == Shape{1, 2, 2});
}
