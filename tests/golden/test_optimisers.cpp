// Optimisers, clipping and weight averaging against PyTorch: ten steps under drawn gradients, in double.
#include "golden/golden.hpp"
#include "tenon/optim/optim.hpp"

using namespace tenon;
using golden::Values;

namespace {

// Two parameters and the gradients that the generator gives them at each step.
struct Problem {
  Index steps;
  std::vector<Shape> shapes;
  std::vector<Var<double>> parameters;

  explicit Problem(const io::Json& about) : steps(about.at("steps").get<Index>()) {
    for (const auto& extents : about.at("shapes")) {
      shapes.push_back(golden::shape_of(extents));
      parameters.emplace_back(golden::values(9 + shapes.size(), shapes.back()),
                              VarOptions{.requires_grad = true});
    }
  }

  void set_gradients(Index step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].set_grad(golden::values(100 + 10 * static_cast<std::uint64_t>(step) + i, shapes[i]));
    }
  }
};

// Takes every step, and after each compares what `now(i)` gives with row `step` of the golden history.
template <class Step, class Now>
void follow(Problem& problem, const golden::File& file, const std::string& name, const Step& step,
            const Now& now) {
  for (Index t = 0; t < problem.steps; ++t) {
    problem.set_gradients(t);
    step();
    for (std::size_t i = 0; i < problem.parameters.size(); ++i) {
      const std::string key = text(name, ".p", i);
      golden::check_close(now(i), file[key][t], 1e-13, text(key, " after step ", t));
    }
  }
}

template <class Optimiser, class Options>
void run(const golden::File& file, const std::string& name, const io::Json& about, const Options& options) {
  Problem problem(about);
  Optimiser optimiser(problem.parameters, options);
  follow(
      problem, file, name, [&] { optimiser.step(); },
      [&](std::size_t i) { return problem.parameters[i].value(); });
}

// PyTorch's options that the generator did not name have the defaults of ours.
SgdOptions sgd_options(const io::Json& given) {
  return {.lr = given.at("lr").get<double>(),
          .momentum = given.value("momentum", 0.0),
          .dampening = given.value("dampening", 0.0),
          .weight_decay = given.value("weight_decay", 0.0),
          .nesterov = given.value("nesterov", false)};
}

template <class Options>
Options adam_options(const io::Json& given) {
  Options options{.lr = given.at("lr").get<double>()};
  if (given.contains("betas")) {
    options.beta1 = given.at("betas").at(0).get<double>();
    options.beta2 = given.at("betas").at(1).get<double>();
  }
  options.eps = given.value("eps", options.eps);
  options.weight_decay = given.value("weight_decay", options.weight_decay);
  return options;
}

void clipping(const golden::File& file, const std::string& name, const io::Json& about) {
  Problem problem(about);
  problem.set_gradients(0);
  const auto limit = about.at("parameters").at("limit").get<double>();
  if (name == "clip_value") {
    clip_grad_value(problem.parameters, limit);
  } else {
    const double norm = clip_grad_norm(problem.parameters, limit);
    golden::check_close(Values::scalar(norm), file[name + ".norm"], 1e-13, name + ".norm");
  }
  for (std::size_t i = 0; i < problem.parameters.size(); ++i) {
    const std::string key = text(name, ".g", i);
    golden::check_close(problem.parameters[i].grad(), file[key], 1e-13, key);
  }
}

void averaging(const golden::File& file, const std::string& name, const io::Json& about) {
  Problem problem(about);
  const auto& given = about.at("parameters");
  Sgd optimiser(problem.parameters, sgd_options(given));
  WeightAverage average(problem.parameters, {.decay = given.at("decay").get<double>()});
  follow(
      problem, file, name,
      [&] {
        optimiser.step();
        average.update();
      },
      [&](std::size_t i) { return average.averages()[i]; });
}

}  // namespace

TEST_CASE("optimisers agree with PyTorch") {
  const golden::File file("optimisers.safetensors");
  CHECK(!file.cases().empty());
  for (const auto& item : file.cases().items()) {
    const std::string& name = item.key();
    const auto& about = item.value();
    const auto family = name.substr(0, name.find('.'));
    const auto& given = about.at("parameters");
    if (family == "sgd") {
      run<Sgd<double>>(file, name, about, sgd_options(given));
    } else if (family == "adam") {
      run<Adam<double>>(file, name, about, adam_options<AdamOptions>(given));
    } else if (family == "adamw") {
      run<AdamW<double>>(file, name, about, adam_options<AdamWOptions>(given));
    } else if (family == "clip_norm" || family == "clip_value") {
      clipping(file, name, about);
    } else if (family == "ema") {
      averaging(file, name, about);
    } else {
      FAIL_CHECK("no test for golden case " << name);
    }
  }
}
