// Training one network of the program: the recipe, and what comes out of it.
#pragma once

#include <tenon/train/fit.hpp>

#include "../common/program.hpp"
#include "pictures.hpp"

namespace programs {

struct TrainingOptions {
  tenon::Index epochs = 30;
  tenon::Index batch = 64;
  double lr = 0.02;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  std::string schedule = "cosine";
  bool augment = true;
  bool resume = false;
};

struct Outcome {
  std::string name;               // as in the report: "LeNet", "residual twin", …
  tenon::Index parameters = 0;
  std::string summary;
  tenon::train::History history;
  tenon::ConfusionMatrix confusion{{}};
};

// Calls use(model, name) with the network that `model` names.
template <class D, class Use>
void with_model(const std::string& model, tenon::Rng& rng, const Use& use) {
  using namespace tenon;
  if (model == "lenet" || model == "residual") {
    const bool residual = model == "residual";
    models::LeNetTwin<float, D> net({.residual = residual}, rng);
    return use(net, residual ? "residual twin" : "LeNet");
  }
  if (model == "lenet5") {
    models::LeNet5<float, D> net({}, rng);
    return use(net, "LeNet-5");
  }
  const int depth = std::stoi(model.substr(6));  // resnet20, resnet32, …
  models::CifarResNet<float, D> net({.depth = depth}, rng);
  use(net, text("ResNet-", depth));
}

inline tenon::Schedule make_schedule(const TrainingOptions& o, tenon::Index steps_per_epoch) {
  using namespace tenon;
  const Index steps = o.epochs * steps_per_epoch;
  if (o.schedule == "cosine") return CosineLr({.lr = o.lr, .steps = steps});
  if (o.schedule == "onecycle") return OneCycle({.max_lr = o.lr, .steps = steps});
  if (o.schedule == "step") return StepLr({.lr = o.lr, .every = std::max<Index>(1, steps / 3), .gamma = 0.1});
  if (o.schedule == "multistep")
    return MultiStepLr({.lr = o.lr, .milestones = {steps / 2, steps * 3 / 4}, .gamma = 0.1});
  if (o.schedule == "exponential") {
    return [o, steps_per_epoch](Index step) {
      return o.lr * std::pow(0.9, static_cast<double>(step / steps_per_epoch));
    };
  }
  return [lr = o.lr](Index) { return lr; };
}

// Trains, takes the epoch with the best validation accuracy back, and counts its confusions.
template <class D>
Outcome train_model(const std::string& model, const Pictures& pictures, const TrainingOptions& o,
                    const CommonOptions& common) {
  using namespace tenon;
  using data::compose;
  const auto normalise = data::Normalize::cifar10();
  const auto transform =
      o.augment ? compose<float>(data::RandomHorizontalFlip{}, data::RandomCrop{.size = 32, .padding = 4}, normalise)
                : compose<float>(normalise);
  data::DataLoader<float> loader(
      pictures.train, {.batch_size = o.batch, .shuffle = true, .workers = 1, .seed = common.seed}, transform);
  data::DataLoader<float> validation(pictures.val, {.batch_size = 256, .workers = 1}, compose<float>(normalise));

  Outcome outcome;
  Rng rng(common.seed);
  with_model<D>(model, rng, [&](auto& net, const std::string& name) {
    outcome.name = name;
    outcome.parameters = nn::parameter_count(net);
    outcome.summary = nn::summary(net, {1, 32, 32, 3}).to_string({.order = nn::ShapeOrder::nchw});
    Sgd optimizer(nn::parameters(net), {.lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay});
    const io::Json config = {{"model", model}, {"epochs", o.epochs}, {"batch", o.batch}, {"lr", o.lr},
                             {"momentum", o.momentum}, {"weight_decay", o.weight_decay}, {"schedule", o.schedule},
                             {"augment", o.augment}, {"seed", common.seed}, {"pictures", pictures.train.size()}};
    const fs::path checkpoints = fs::path(common.out) / "checkpoints" / model;
    outcome.history = train::fit(net, optimizer, loader, validation,
                                 {.epochs = o.epochs, .schedule = make_schedule(o, loader.size()),
                                  .schedule_by = train::ScheduleBy::step, .checkpoints = checkpoints,
                                  .resume = o.resume, .config = config, .title = name});
    train::load_checkpoint(checkpoints / "best.safetensors", net, optimizer);
    outcome.confusion = ConfusionMatrix(pictures.val.classes);
    train::evaluate(net, validation, 1, &outcome.confusion);
  });
  return outcome;
}

}  // namespace programs
