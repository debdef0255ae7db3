// The training loop: epochs over a loader, validation after each, a history, checkpoints of the best and of the
// last epoch, and resuming from the latter as if nothing had happened.
//
//   auto history = train::fit(model, optimizer, train_loader, val_loader, {.epochs = 30, .schedule = CosineLr({…})});
#pragma once

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>

#include "tenon/data/loader.hpp"
#include "tenon/optim/optim.hpp"
#include "tenon/train/checkpoint.hpp"
#include "tenon/train/history.hpp"
#include "tenon/train/metrics.hpp"
#include "tenon/train/progress.hpp"

namespace tenon::train {

enum class ScheduleBy { epoch, step };

struct FitOptions {
  Index epochs = 10;
  Schedule schedule{};                       // learning rate by epoch or step from 0; none: the optimiser's stays
  ScheduleBy schedule_by = ScheduleBy::epoch;
  ReduceOnPlateau* plateau = nullptr;        // fed with the validation loss; used where there is no schedule
  double label_smoothing = 0;                // of the training loss
  double clip_norm = 0;                      // largest norm of all gradients together; 0: no limit
  Index top_k = 5;
  Index patience = 0;                        // stop after so many epochs without a better validation loss; 0: never
  std::filesystem::path checkpoints{};       // a folder for last.safetensors and best.safetensors; empty: none
  bool resume = false;                       // go on from last.safetensors if it is there
  io::Json config = io::Json::object();      // what the run was asked for; one resumes only under the same
  std::string title{};                       // opens the lines printed for each epoch
  bool verbose = true;                       // one line an epoch on standard output
};

// What a pass over a data set without training found.
struct Evaluation {
  double loss = 0, accuracy = 0, topk_accuracy = 0;
};

namespace detail {

// How a loss turned out, as an error if it is no longer a number: training cannot recover from that.
inline double checked_loss(double loss, Index epoch, Index step) {
  require<ValueError>(std::isfinite(loss), "fit: the loss is ", loss, " in epoch ", epoch, ", step ", step,
                      "; a lower learning rate or clip_norm may help");
  return loss;
}

struct RunState {
  History history;
  Index steps = 0;
};

inline io::Json run_json(const RunState& run, const FitOptions& o) {
  io::Json json = {{"history", to_json(run.history)}, {"steps", run.steps}, {"config", o.config}};
  if (o.plateau) {  // as text, because its best metric may be infinite
    o.plateau->state([&](std::string_view name, auto& value) { json["plateau"][std::string(name)] = text(value); });
  }
  return json;
}

inline void check_config(const io::Json& stored, const io::Json& asked, const std::filesystem::path& path) {
  for (const auto& [key, value] : asked.items()) {
    const io::Json before = stored.value(key, io::Json());
    require<FileError>(before == value, path.string(), ": cannot resume: written with ", key, " ",
                       before.dump().substr(0, 40), ", this run has ", value.dump().substr(0, 40));
  }
}

// Fills `plateau` too, if there is one.
inline RunState run_from_json(const io::Json& json, std::optional<ReduceOnPlateau>& plateau, const FitOptions& o,
                              Index steps_per_epoch, const std::filesystem::path& path) {
  try {
    check_config(json.at("config"), o.config, path);
    RunState run{history_from_json(json.at("history"))};
    const auto epochs = static_cast<Index>(run.history.epochs.size());
    run.steps = epochs * steps_per_epoch;
    require<FileError>(json.at("steps") == run.steps, path.string(), ": cannot resume: written after ",
                       json.at("steps").dump().substr(0, 24), " steps in ", epochs, " epochs, this loader has ",
                       steps_per_epoch, " batches an epoch");
    if (plateau) {
      plateau->state([&](std::string_view name, auto& value) {
        const std::string stored = json.at("plateau").at(std::string(name)).template get<std::string>();
        const char* end = stored.data() + stored.size();
        const auto read = std::from_chars(stored.data(), end, value);
        require<ValueError>(read.ec == std::errc() && read.ptr == end, "the plateau's ", name, " is not a number");
      });
    }
    return run;
  } catch (const io::Json::exception&) {
    fail<FileError>(path.string(), ": not a training checkpoint: its run description is incomplete");
  } catch (const ValueError& error) {
    fail<FileError>(path.string(), ": not a training checkpoint: ", error.what());
  }
}

inline std::string percent(double fraction) { return fixed(100 * fraction, 2) + "%"; }

inline void print_epoch(const FitOptions& o, const EpochRecord& e) {
  const std::string line =
      text(o.title, o.title.empty() ? "" : " | ", "Epoch ", e.epoch, "/", o.epochs, " | Train Loss: ",
           fixed(e.train_loss, 5), " | Train Acc: ", percent(e.train_accuracy), " | Val Acc: ",
           percent(e.val_accuracy), " | Val Loss: ", fixed(e.val_loss, 5), " | ", fixed(e.images_per_second, 0),
           " images/s\n");
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace detail

// Loss (without smoothing), accuracy and top-k accuracy of a model in evaluation mode, which it leaves again;
// fills a confusion matrix if one is given.
template <class Model, class Loader>
Evaluation evaluate(Model& model, Loader& loader, Index top_k = 5, ConfusionMatrix* confusion = nullptr) {
  using T = nn::ValueOf<Model>;
  using D = nn::DeviceOf<Model>;
  const NoGrad guard;
  const nn::EvaluationScope evaluation(model);
  Metrics metrics{.top_k = top_k, .confusion = confusion};
  for (const auto& batch : loader.epoch(0)) {
    const Var<T, D> logits = model(Var<T, D>(batch.images.template to<D>()));
    metrics.add(static_cast<double>(nn::cross_entropy(logits, batch.labels).item()), logits.value(), batch.labels);
  }
  return {metrics.loss(), metrics.accuracy(), metrics.topk_accuracy()};
}

// Minimises the cross-entropy. Both loaders yield batches with images (N,H,W,C) and labels (N) of the model's
// scalar type; validation runs over epoch(0) of its loader. Repeats bit for bit from the same start.
template <class Model, class Optimizer, class Loader>
History fit(Model& model, Optimizer& optimizer, Loader& loader, Loader& validation, const FitOptions& o) {
  using T = nn::ValueOf<Model>;
  using D = nn::DeviceOf<Model>;
  using Clock = std::chrono::steady_clock;
  require<ValueError>(o.epochs > 0, "fit: epochs is ", o.epochs, ", expected at least 1");
  require<ValueError>(loader.size() > 0 && validation.size() > 0, "fit: ", loader.size(), " batches for training and ",
                      validation.size(), " for validation, expected at least 1");
  const auto params = nn::parameters(model);
  detail::RunState run;
  const auto last_path = o.checkpoints / "last.safetensors", best_path = o.checkpoints / "best.safetensors";
  if (!o.checkpoints.empty()) {
    io::ensure_directory(o.checkpoints);
    if (o.resume && std::filesystem::exists(last_path)) {
      std::optional<ReduceOnPlateau> plateau;
      if (o.plateau) plateau = *o.plateau;
      load_checkpoint(last_path, model, optimizer, [&](const io::Json& json) {
        run = detail::run_from_json(json, plateau, o, loader.size(), last_path);
      });
      if (plateau) *o.plateau = *plateau;
    }
  }

  Index without_gain = 0;
  double least_loss = std::numeric_limits<double>::infinity();
  const auto note_loss = [&](double loss) {
    without_gain = loss < least_loss ? 0 : without_gain + 1;
    least_loss = std::min(least_loss, loss);
  };
  for (const EpochRecord& e : run.history.epochs) note_loss(e.val_loss);

  const auto done = static_cast<Index>(run.history.epochs.size());
  for (Index epoch = done; epoch < o.epochs; ++epoch) {
    if (o.patience > 0 && without_gain >= o.patience) break;
    if (o.schedule && o.schedule_by == ScheduleBy::epoch) optimizer.set_lr(o.schedule(epoch));
    if (!o.schedule && o.plateau) optimizer.set_lr(o.plateau->lr());

    const auto start = Clock::now();
    nn::set_training(model, true);
    Metrics metrics;
    {
      ProgressBar bar(text(o.title, o.title.empty() ? "" : " ", "epoch ", epoch + 1, "/", o.epochs),
                      loader.dataset().size());
      for (const auto& batch : loader.epoch(static_cast<std::uint64_t>(epoch))) {
        if (o.schedule && o.schedule_by == ScheduleBy::step) optimizer.set_lr(o.schedule(run.steps));
        const Var<T, D> logits = model(Var<T, D>(batch.images.template to<D>()));
        const Var<T, D> loss = nn::cross_entropy(logits, batch.labels, {.label_smoothing = o.label_smoothing});
        const double value = detail::checked_loss(static_cast<double>(loss.item()), epoch + 1, run.steps);
        optimizer.zero_grad();
        loss.backward();
        if (o.clip_norm > 0) clip_grad_norm(params, o.clip_norm);
        optimizer.step();
        metrics.add(value, logits.value(), batch.labels);
        ++run.steps;
        bar.update(metrics.count);
      }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const Evaluation val = evaluate(model, validation, o.top_k);

    EpochRecord record{.epoch = epoch + 1, .train_loss = metrics.loss(), .train_accuracy = metrics.accuracy(),
                       .val_loss = val.loss, .val_accuracy = val.accuracy, .val_topk = val.topk_accuracy,
                       .lr = optimizer.lr(), .seconds = seconds,
                       .images_per_second = static_cast<double>(metrics.count) / std::max(seconds, 1e-9)};
    const EpochRecord* before = run.history.best();
    const bool best = !before || record.val_accuracy > before->val_accuracy;
    run.history.epochs.push_back(record);
    note_loss(val.loss);
    if (o.plateau) o.plateau->update(val.loss);
    if (o.verbose) detail::print_epoch(o, record);
    if (!o.checkpoints.empty()) {
      const io::Json state = detail::run_json(run, o);
      if (best) save_checkpoint(best_path, model, optimizer, state);
      save_checkpoint(last_path, model, optimizer, state);
    }
  }
  return run.history;
}

}  // namespace tenon::train
