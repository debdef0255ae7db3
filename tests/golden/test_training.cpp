// Same-start training against PyTorch: twenty steps of SGD with momentum and weight decay on whole networks,
// from the same parameters and batches.
#include "golden/golden.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/nn/loss.hpp"
#include "tenon/optim/optim.hpp"

using namespace tenon;
using golden::Values;

namespace {

// How far Tenon may be from PyTorch, relative, in double and in float.
template <class T>
constexpr double tolerance = std::same_as<T, double> ? 1e-9 : 1e-4;

// Overwrites the parameters with the generator's; the two programs must list the same ones in the same order.
template <class T, class M>
void start(M& model, const io::Json& listing) {
  const auto parameters = nn::named_parameters(model);
  REQUIRE(parameters.size() == listing.size());
  for (std::size_t i = 0; i < listing.size(); ++i) {
    const auto& wanted = listing[i];
    const Shape shape = golden::shape_of(wanted.at("shape"));
    REQUIRE(parameters[i].name == wanted.at("name").template get<std::string>());
    REQUIRE(parameters[i].var.shape() == shape);
    const auto scale = wanted.at("scale").template get<double>();
    if (scale == 0) continue;  // batch normalisation keeps its own start: weight 1, bias 0
    auto value = parameters[i].var;
    value.value().copy_(
        golden::values(wanted.at("seed").template get<std::uint64_t>(), shape, scale).template cast<T>());
  }
}

// Sum and sum of magnitudes of a tensor; the sum may cancel, so both are compared on the scale of the second.
template <class T>
void check_checksum(const Tensor<T>& actual, const Values& expected, double limit, const std::string& what) {
  double total = 0, magnitude = 0;
  for (const T v : actual.span()) {
    total += static_cast<double>(v);
    magnitude += std::abs(static_cast<double>(v));
  }
  const double size = expected.at({1});
  const double error = std::max(std::abs(total - expected.at({0})), std::abs(magnitude - size));
  const std::string seen = text(what, ": off by ", error, " of ", size);
  CHECK_MESSAGE(!!(error <= limit), seen);
}

template <class T, class M>
void train(M& model, const golden::File& file, const std::string& name, const std::string& type) {
  const auto& about = file.cases().at(name);
  const std::string key = name + "." + type;
  const auto batch = about.at("batch").get<Index>(), classes = about.at("classes").get<Index>();
  const auto& given = about.at("parameters");
  start<T>(model, about.at("start"));
  const auto parameters = nn::named_parameters(model);
  Sgd optimiser(nn::parameters(model), {.lr = given.at("lr").get<double>(),
                                        .momentum = given.at("momentum").get<double>(),
                                        .weight_decay = given.at("weight_decay").get<double>()});

  const auto loss_of = [&](Index step) {
    const auto t = static_cast<std::uint64_t>(step);
    const Var<T> x(golden::values(about.at("image_seed").get<std::uint64_t>() + t, {batch, 32, 32, 3})
                       .template cast<T>());
    return nn::cross_entropy(model(x),
                             golden::labels(about.at("label_seed").get<std::uint64_t>() + t, batch, classes));
  };

  const Values losses = file[key + ".losses"];
  const Values first_gradients = file[key + ".first_gradients"], last = file[key + ".parameters"];
  for (Index step = 0; step < losses.numel(); ++step) {
    optimiser.zero_grad();
    const auto loss = loss_of(step);
    loss.backward();
    if (step == 0) {
      double largest = 0;  // the bias before a normalisation has gradient 0 but for rounding
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        largest = std::max(largest, first_gradients.at({static_cast<Index>(i), 1}));
      }
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        check_checksum(parameters[i].var.grad(), first_gradients[static_cast<Index>(i)],
                       tolerance<T> * largest, key + ": first gradient of " + parameters[i].name);
      }
    }
    optimiser.step();
    golden::check_close(loss.value().template cast<double>(), losses[step], tolerance<T>,
                        text(key, ": loss of step ", step));
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto expected = last[static_cast<Index>(i)];
    check_checksum(parameters[i].var.value(), expected, 100 * tolerance<T> * std::max(1.0, expected.at({1})),
                   key + ": last value of " + parameters[i].name);
  }

  nn::set_training(model, false);  // shows the running statistics
  golden::check_close(loss_of(0).value().template cast<double>(), file[key + ".eval_loss"], tolerance<T>,
                      key + ": evaluation loss");
}

template <class T>
void train_named(const golden::File& file, const std::string& name, const std::string& type) {
  Rng rng(1);
  const auto model_name = name.substr(0, name.find('.'));
  if (model_name == "resnet20") {
    models::CifarResNet<T> model({.depth = 20}, rng);
    train<T>(model, file, name, type);
  } else {
    REQUIRE((model_name == "twin" || model_name == "lenet"));
    models::LeNetTwin<T> model({.residual = model_name == "twin"}, rng);
    train<T>(model, file, name, type);
  }
}

}  // namespace

TEST_CASE("training from the same start follows PyTorch") {
  const golden::File file("training.safetensors");
  CHECK(!file.cases().empty());
  for (const auto& item : file.cases().items()) {
    const std::string& name = item.key();
    const auto& about = item.value();
    for (const auto& type : about.at("types")) {
      if (type == "double")
        train_named<double>(file, name, "double");
      else
        train_named<float>(file, name, "float");
    }
  }
}
