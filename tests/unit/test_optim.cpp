// Optimisers: their formulas step by step, what they leave alone, and their state. PyTorch's own numbers are
// compared in golden/.
#include <map>

#include "close.hpp"
#include "tenon/autograd/autograd.hpp"
#include "tenon/optim/optim.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;
using testing::error_text;

namespace {

template <class T = double>
Var<T> parameter(std::initializer_list<std::type_identity_t<T>> values) {
  return Var<T>(Tensor<T>({static_cast<Index>(values.size())}, values), {.requires_grad = true});
}

// The gradient of parameter i at a step; any numbers will do.
Tensor<double> gradient(const Shape& shape, Index step, Index i) {
  Rng rng(static_cast<std::uint64_t>(100 * step + i));
  return Tensor<double>::uniform(shape, rng, -1, 1);
}

// Ten steps from a fixed start; the parameters after the last.
template <class Make>
std::vector<Tensor<double>> train(const Make& make, Index steps = 10) {
  std::vector params{parameter({0.5, -1, 2}), parameter({1, 0.25, -0.75, 3, -2})};
  auto opt = make(params);
  for (Index s = 0; s < steps; ++s) {
    for (std::size_t i = 0; i < params.size(); ++i) {
      params[i].set_grad(gradient(params[i].shape(), s, static_cast<Index>(i)));
    }
    opt.step();
  }
  return {params[0].value(), params[1].value()};
}

// The same ten steps, one number at a time: update(gradient, parameter, memory, step from 1).
template <class Update>
std::vector<Tensor<double>> by_hand(const Update& update) {
  std::vector values{Tensor<double>({3}, {0.5, -1, 2}), Tensor<double>({5}, {1, 0.25, -0.75, 3, -2})};
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::map<Index, std::pair<double, double>> memory;
    for (Index s = 0; s < 10; ++s) {
      const auto g = gradient(values[i].shape(), s, static_cast<Index>(i));
      for (Index e = 0; e < values[i].numel(); ++e)
        update(g.data()[e], values[i].data()[e], memory[e], s + 1);
    }
  }
  return values;
}

void agree(const std::vector<Tensor<double>>& found, const std::vector<Tensor<double>>& expected) {
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(error_of(found[i], expected[i]) < 1e-14);
}

using Memory = std::pair<double, double>;

}  // namespace

TEST_CASE("sgd: plain, momentum, dampening, nesterov, decay") {
  for (const SgdOptions o : {SgdOptions{.lr = 0.1}, SgdOptions{.lr = 0.1, .momentum = 0.9},
                             SgdOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.3},
                             SgdOptions{.lr = 0.1, .momentum = 0.8, .nesterov = true},
                             SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true},
                             SgdOptions{.lr = 0.1, .weight_decay = 0.05}}) {
    agree(train([&](auto& params) { return Sgd(params, o); }),
          by_hand([&](double g, double& p, Memory& m, Index t) {
            g += o.weight_decay * p;
            m.first = t == 1 ? g : o.momentum * m.first + (1 - o.dampening) * g;
            const double move = o.momentum == 0 ? g : o.nesterov ? g + o.momentum * m.first : m.first;
            p -= o.lr * move;
          }));
  }
}

TEST_CASE("adam: decay in the gradient; adamw: decay of the weights") {
  const auto reference = [](bool decoupled) {
    return by_hand([=](double g, double& p, Memory& m, Index t) {
      if (decoupled)
        p *= 1 - 0.02 * 0.1;
      else
        g += 0.1 * p;
      m.first = 0.8 * m.first + 0.2 * g;
      m.second = 0.95 * m.second + 0.05 * g * g;
      const double mean = m.first / (1 - std::pow(0.8, t)), square = m.second / (1 - std::pow(0.95, t));
      p -= 0.02 * mean / (std::sqrt(square) + 1e-3);
    });
  };
  agree(train([](auto& params) {
          return Adam(params, {.lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1});
        }),
        reference(false));
  agree(train([](auto& params) {
          return AdamW(params, {.lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1});
        }),
        reference(true));
}

TEST_CASE("groups: a learning rate and a decay of their own") {
  auto a = parameter({1}), b = parameter({1});
  Sgd opt(std::vector{ParamGroup<double>{.params = {a}, .lr_scale = 0.1, .weight_decay = 0.5},
                      ParamGroup<double>{.params = {b}}},
          {.lr = 1, .weight_decay = 0.25});
  a.set_grad(Tensor<double>::ones({1}));
  b.set_grad(Tensor<double>::ones({1}));
  opt.step();
  CHECK(a.item() == doctest::Approx(1 - 0.1 * 1.5));
  CHECK(b.item() == doctest::Approx(1 - 1.25));
  CHECK(opt.parameters().size() == 2);
}

TEST_CASE("no_decay_for_vectors: weights decay, biases do not") {
  const Var<double> weight(Tensor<double>::ones({2, 2}), {.requires_grad = true});
  const auto bias = parameter({1, 1});
  const auto groups = no_decay_for_vectors(std::vector{weight, bias, weight}, 0.5);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].params.size() == 2);
  CHECK(groups[0].weight_decay == 0.5);
  CHECK(groups[1].params.size() == 1);
  CHECK(groups[1].weight_decay == 0.0);
  CHECK(no_decay_for_vectors(std::vector{bias}, 0.5).size() == 1);
}

TEST_CASE("a parameter without a gradient stays, and its first step is still its first") {
  auto a = parameter({1}), b = parameter({1});
  const auto one = Tensor<double>::ones({1});
  Sgd opt(std::vector{a, b}, {.lr = 0.1, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1});
  a.set_grad(one);
  opt.step();
  CHECK(b.item() == 1);
  opt.zero_grad();
  CHECK_FALSE(a.grad().defined());
  b.set_grad(one);
  opt.step();
  CHECK(b.item() == doctest::Approx(1 - 0.1 * 1.1));  // no dampening at first
  AdamW adam(std::vector{a, b}, {.lr = 0.1});
  const double before = b.item();
  adam.step();  // a has no gradient, b has
  b.zero_grad();
  a.set_grad(one);
  const double a_before = a.item();
  adam.step();
  CHECK(a.item() == doctest::Approx(a_before * (1 - 0.1 * 0.01) - 0.1));  // bias correction of a first step
  CHECK(b.item() == doctest::Approx(before * (1 - 0.1 * 0.01) - 0.1));
}

TEST_CASE("optimisers: what is refused") {
  auto p = parameter({1, 2});
  const std::vector params{p};
  CHECK(error_text<ValueError>([&] { Sgd(params, {.lr = -0.1}); }) == "Sgd: lr is -0.1, expected at least 0");
  CHECK_THROWS_AS(Sgd(params, {.lr = std::nan("")}), ValueError);
  CHECK(error_text<ValueError>([&] { Sgd(params, {.nesterov = true}); }) ==
        "Sgd: nesterov needs momentum above 0 and no dampening, got 0 and 0");
  CHECK_THROWS_AS(Sgd(params, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), ValueError);
  CHECK_THROWS_AS(Sgd(params, {.momentum = -0.9}), ValueError);
  CHECK_THROWS_AS(Sgd(params, {.weight_decay = -1}), ValueError);
  CHECK(error_text<ValueError>([&] { AdamW(params, {.beta2 = 1}); }) ==
        "AdamW: beta is 1, expected 0 <= beta < 1");
  CHECK(error_text<ValueError>([&] { Adam(std::vector<Var<float>>{}, {}); }) ==
        "Adam: the list of parameters is empty");
  CHECK(error_text<ValueError>([&] {
          Sgd(std::vector{p, p}, {});
        }) == "Sgd: parameter 1 of shape (2) is given twice");
  CHECK(error_text<ValueError>([&] {
          Sgd(std::vector{p, p.detach()}, {});
        }) == "Sgd: parameter 1 of shape (2) does not require a gradient; leave it out or set requires_grad");
  CHECK(error_text<ValueError>([&] { Sgd(std::vector{p * 2}, {}); }) ==
        "Sgd: parameter 0 of shape (2) is the result of an operation, not a leaf");
  CHECK(error_text<ValueError>([&] { Sgd(std::vector{Var<double>()}, {}); }) ==
        "Sgd: parameter 0 has no value");
  Sgd opt(params, {.momentum = 0.9, .nesterov = true});
  CHECK_THROWS_AS(opt.set_momentum(0), ValueError);
  CHECK_THROWS_AS(opt.set_lr(-1), ValueError);
}

namespace {

// A checkpoint in memory: everything by name.
struct Saved {
  std::map<std::string, Tensor<double>> tensors;
  std::map<std::string, double> numbers;

  template <class Stateful>
  explicit Saved(Stateful& from) {
    from.state([&](const std::string& name, auto& x) {
      if constexpr (requires { x.clone(); })
        tensors[name] = x.clone();
      else
        numbers[name] = static_cast<double>(x);
    });
  }

  template <class Stateful>
  void restore(Stateful& to) const {
    to.state([&](const std::string& name, auto& x) {
      if constexpr (requires { x.clone(); })
        x.copy_(tensors.at(name));
      else
        x = static_cast<std::remove_reference_t<decltype(x)>>(numbers.at(name));
    });
  }
};

// Stopping after five steps and resuming in a new optimiser gives the bits of ten steps.
template <class Make>
void resume(const Make& make) {
  const auto whole = train(make);
  std::vector params{parameter({0.5, -1, 2}), parameter({1, 0.25, -0.75, 3, -2})};
  const auto steps = [&](auto& opt, Index from, Index to) {
    for (Index s = from; s < to; ++s) {
      for (std::size_t i = 0; i < params.size(); ++i) {
        params[i].set_grad(gradient(params[i].shape(), s, static_cast<Index>(i)));
      }
      opt.step();
    }
  };
  auto first = make(params);
  steps(first, 0, 5);
  const Saved saved(first);
  auto second = make(params);
  saved.restore(second);
  steps(second, 5, 10);
  CHECK(testing::same_bits(params[0].value(), whole[0]));
  CHECK(testing::same_bits(params[1].value(), whole[1]));
}

}  // namespace

TEST_CASE("state: a resumed run gives the same bits") {
  resume([](auto& params) { return Sgd(params, {.lr = 0.1, .momentum = 0.9, .dampening = 0.2}); });
  resume([](auto& params) { return AdamW(params, {.lr = 0.1}); });
  auto p = parameter({1});
  Adam adam(std::vector{p}, {.lr = 0.25});
  const Saved saved(adam);
  CHECK(saved.numbers == std::map<std::string, double>{{"lr", 0.25}, {"updates.0", 0}});
  CHECK(saved.tensors.count("mean.0") == 1);
  CHECK(saved.tensors.count("square.0") == 1);
}

TEST_CASE("many parameters of any size: the bits of one after the other, with one and with two threads") {
  const std::vector<Index> sizes{1, 16, 40000, 7, 100000, 3};
  const auto run = [&](const auto& make, int threads, bool together) {
    const testing::ThreadScope scope(threads);
    std::vector<Var<float>> params;
    for (const Index n : sizes) {
      Rng rng(static_cast<std::uint64_t>(n));
      params.emplace_back(Tensor<float>::uniform({n}, rng, -1, 1), VarOptions{.requires_grad = true});
    }
    std::vector<decltype(make(params))> optimisers;
    if (together)
      optimisers.push_back(make(params));
    else
      for (const auto& p : params) optimisers.push_back(make(std::vector{p}));
    for (Index s = 0; s < 3; ++s) {
      for (auto& p : params) p.set_grad(gradient(p.shape(), s, p.numel()).template cast<float>());
      for (auto& o : optimisers) o.step();
    }
    return params;
  };
  const auto check = [&](const auto& make) {
    const auto alone = run(make, 1, false);
    for (const int threads : {1, 2}) {
      const auto found = run(make, threads, true);
      for (std::size_t i = 0; i < sizes.size(); ++i)
        CHECK(testing::same_bits(found[i].value(), alone[i].value()));
    }
  };
  check([](const auto& params) {
    return Sgd(params, {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true});
  });
  check([](const auto& params) { return AdamW(params, {.lr = 0.1}); });
}

TEST_CASE("16-bit parameters: small steps add up in a float copy") {
  auto p = parameter<half>({half(1.0f)});
  Sgd opt(std::vector{p}, {.lr = 1e-4});
  p.set_grad(Tensor<half>::ones({1}));
  for (int i = 0; i < 1000; ++i) opt.step();  // each is less than half a unit in the last place
  CHECK(static_cast<float>(p.item()) == doctest::Approx(0.9).epsilon(1e-3));
}

TEST_CASE("loss scaler: skips overflows, lowers and raises the scale, leaves the step unscaled") {
  auto p = parameter<float>({1, 1});
  Sgd opt(std::vector{p}, {.lr = 0.5});
  LossScaler scaler({.scale = 8, .interval = 2});
  scaler.scale(sum(p * 1.0f)).backward();
  CHECK(p.grad().to_vector() == std::vector<float>{8, 8});
  CHECK(scaler.step(opt));
  CHECK(p.value().to_vector() == std::vector<float>{0.5, 0.5});
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const double before = scaler.current();
    p.set_grad(Tensor<float>({2}, {1, bad}));
    CHECK_FALSE(scaler.step(opt));
    CHECK(p.value().to_vector() == std::vector<float>{0.5, 0.5});
    CHECK(scaler.current() == before / 2);
  }
  p.set_grad(Tensor<float>::full({2}, 2));
  CHECK(scaler.step(opt));
  CHECK(scaler.current() == 2);
  CHECK(scaler.step(opt));
  CHECK(scaler.current() == 4);
  CHECK_THROWS_AS(LossScaler({.backoff = 1}), ValueError);
}
