// The training loop: the same history for any number of threads, resuming as if nothing had happened,
// stopping, schedules, and what it refuses.
#include <map>

#include "close.hpp"
#include "files.hpp"
#include "tenon/data/synthetic.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/train/fit.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using namespace tenon::train;
using testing::contains;
using testing::error_text;
using testing::ScratchFolder;
using testing::ThreadScope;

namespace {

using Loader = data::DataLoader<float>;

// Pooled pictures through a layer with batch normalisation and dropout: fast, with every kind of state.
struct Small {
  using value_type = float;
  using device_type = Cpu;
  Rng rng{1};
  nn::Linear<float> first{{.in = 48, .out = 16}, rng};
  nn::BatchNorm1d<float> norm{{.channels = 16}};
  nn::Dropout drop{{.probability = 0.3}, rng};
  nn::Linear<float> last{{.in = 16, .out = 4}, rng};

  void parts(auto&& visit) {
    visit("first", first);
    visit("norm", norm);
    visit("drop", drop);
    visit("last", last);
  }
  Var<float> operator()(const Var<float>& x) {
    return last(drop(relu(norm(first(flatten(adaptive_avg_pool2d(x, 4)))))));
  }
};

Loader loader_of(Index count, std::uint64_t seed, int workers = 0, Index side = 16) {
  return Loader(data::synthetic_shapes({.count = count, .size = side, .classes = 4, .seed = seed}),
                {.batch_size = 16, .shuffle = seed == 1, .workers = workers, .seed = 5},
                data::compose<float>(data::RandomHorizontalFlip{}, data::Normalize::cifar10()));
}

// All that must not depend on the clock.
bool same(const EpochRecord& a, const EpochRecord& b) {
  return a.epoch == b.epoch && a.train_loss == b.train_loss && a.train_accuracy == b.train_accuracy &&
         a.val_loss == b.val_loss && a.val_accuracy == b.val_accuracy && a.val_topk == b.val_topk &&
         a.lr == b.lr;
}
bool same(const History& a, const History& b) {
  return a.epochs.size() == b.epochs.size() &&
         std::equal(a.epochs.begin(), a.epochs.end(), b.epochs.begin(),
                    [](const EpochRecord& x, const EpochRecord& y) { return same(x, y); });
}

// Tensors by bits and numbers as text: all that a checkpoint would hold.
template <class Model, class Optimizer>
std::map<std::string, std::string> everything(Model& model, Optimizer& optimizer) {
  std::map<std::string, std::string> all;
  train::detail::checkpoint_parts(model, optimizer, [&](const std::string& name, auto& part) {
    if constexpr (requires { part.to_vector(); }) {
      for (const auto v : part.to_vector()) all[name] += text(v, " ");
    } else if constexpr (std::same_as<std::remove_cvref_t<decltype(part)>, Rng>) {
      all[name] = text(part.state().seed, " ", part.state().stream, " ", part.state().position);
    } else {
      all[name] = text(part);
    }
  });
  return all;
}

std::map<std::string, std::string> state_of(ReduceOnPlateau& plateau) {
  std::map<std::string, std::string> all;
  plateau.state([&](const char* name, auto& value) { all[name] = text(value); });
  return all;
}

// One run of Small: its history and how everything stood in the end.
struct Run {
  Small model;
  Sgd<float> optimizer{nn::parameters(model), {.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-3}};
  Loader training = loader_of(100, 1), validation = loader_of(40, 2);
  History history;

  Run& fit(FitOptions o) {
    o.verbose = false;
    history = train::fit(model, optimizer, training, validation, o);
    return *this;
  }
  auto state() { return everything(model, optimizer); }
};

template <class Make>
void same_for_any_threads(const Make& make, Index count, Index epochs) {
  std::optional<History> first;
  std::map<std::string, std::string> first_state;
  for (const auto& counts : {std::pair{1, 0}, {2, 0}, {2, 1}, {1, 2}, {3, 2}}) {
    const int threads = counts.first, workers = counts.second;
    const ThreadScope scope(threads);
    Rng rng(3);
    auto model = make(rng);
    Sgd optimizer(nn::parameters(model), {.lr = 0.05, .momentum = 0.9});
    Loader training = loader_of(count, 1, workers, 32), validation = loader_of(40, 2, workers, 32);
    const History history = fit(model, optimizer, training, validation, {.epochs = epochs, .verbose = false});
    CHECK(history.epochs.size() == static_cast<std::size_t>(epochs));
    if (!first) {
      first = history;
      first_state = everything(model, optimizer);
    }
    CHECK_MESSAGE(same(*first, history), threads, " threads, ", workers, " workers");
    CHECK(everything(model, optimizer) == first_state);
  }
}

}  // namespace

TEST_CASE("fit: the same bits for any number of threads and workers") {
  same_for_any_threads([](Rng& rng) { return models::LeNetTwin<float>({.classes = 4}, rng); }, 96, 2);
  same_for_any_threads([](Rng& rng) { return models::CifarResNet<float>({.depth = 8, .classes = 4}, rng); },
                       48, 1);
}

TEST_CASE("fit: another order of the pictures gives another history") {
  Run a, b;
  b.training = Loader(a.training.dataset(), {.batch_size = 16, .shuffle = true, .seed = 6});
  CHECK_FALSE(same(a.fit({.epochs = 1}).history, b.fit({.epochs = 1}).history));
}

TEST_CASE("fit: learns, and the history says so") {
  Run run;
  run.fit({.epochs = 12});
  REQUIRE(run.history.epochs.size() == 12);
  const auto &first = run.history.epochs.front(), &last = run.history.epochs.back();
  CHECK(!(last.train_loss > 0.8 * first.train_loss));
  CHECK(!(last.val_accuracy < 0.4));  // chance is 0.25
  CHECK(last.val_topk == 1);          // four classes, k is 5
  CHECK(last.epoch == 12);
  CHECK(last.lr == 0.05);
  CHECK(last.seconds > 0);
  CHECK(run.model.drop.training);
  const Evaluation again = evaluate(run.model, run.validation);
  CHECK(again.accuracy == last.val_accuracy);
  CHECK(again.loss == last.val_loss);
}

TEST_CASE("fit: interrupted after any epoch and resumed, it ends as if it had not been") {
  const FitOptions base{
      .epochs = 5, .schedule = CosineLr({.lr = 0.1, .steps = 35}), .schedule_by = ScheduleBy::step};
  Run whole;
  whole.fit(base);
  for (const Index stop : {1, 3, 4}) {
    const ScratchFolder folder;
    FitOptions o = base;
    o.checkpoints = folder.path() / "checkpoints";
    o.epochs = stop;
    Run().fit(o);
    o.epochs = 5;
    o.resume = true;
    Run second;
    second.optimizer.set_lr(7);  // what the checkpoint overrides
    second.fit(o);
    CHECK(same(whole.history, second.history));
    CHECK(whole.state() == second.state());
    CHECK(whole.state().contains("model.drop.rng"));

    Run third;  // a run that is over: nothing is trained, everything is there
    third.fit(o);
    CHECK(same(whole.history, third.history));
    CHECK(whole.state() == third.state());
  }
}

TEST_CASE("fit: an interruption within an epoch costs that epoch only") {
  const ScratchFolder folder;
  Run whole, second;
  whole.fit({.epochs = 4});
  {
    Run broken;
    int calls = 0;
    broken.training =
        Loader(broken.training.dataset(), broken.training.options(),
               [&, inner = data::compose<float>(data::RandomHorizontalFlip{}, data::Normalize::cifar10())](
                   auto& x, Rng& rng) {
                 require<FileError>(++calls < 250, "pulled the plug");
                 inner(x, rng);
               });
    CHECK(error_text<FileError>([&] { broken.fit({.epochs = 4, .checkpoints = folder.path()}); }) ==
          "pulled the plug");
  }
  second.fit({.epochs = 4, .checkpoints = folder.path(), .resume = true});
  CHECK(same(whole.history, second.history));
  CHECK(whole.state() == second.state());
}

TEST_CASE("fit: the plateau's state and the count of early stopping survive an interruption") {
  const auto make = [] {
    return ReduceOnPlateau({.lr = 0.4, .factor = 0.5, .patience = 0, .threshold = 0.2, .cooldown = 1});
  };
  ReduceOnPlateau one = make();
  Run whole;
  const FitOptions base{.epochs = 30, .plateau = &one, .patience = 3};
  whole.fit(base);
  const auto epochs = static_cast<Index>(whole.history.epochs.size());
  CHECK(epochs < 30);  // stopped early
  CHECK(epochs > 4);
  CHECK(whole.history.epochs.back().lr < 0.4);  // and lowered the rate before that

  for (Index stop = 1; stop < epochs; ++stop) {
    const ScratchFolder folder;
    ReduceOnPlateau two = make(), three = make();
    FitOptions o = base;
    o.checkpoints = folder.path();
    o.plateau = &two;
    o.epochs = stop;
    Run().fit(o);
    o.plateau = &three;
    o.epochs = 30;
    o.resume = true;
    Run second;
    second.fit(o);
    CHECK(same(whole.history, second.history));
    CHECK(whole.state() == second.state());
    CHECK(state_of(one) == state_of(three));
  }
}

TEST_CASE("fit: patience stops after so many epochs without a better validation loss") {
  Run run;
  run.fit({.epochs = 20, .schedule = [](Index) { return 0.0; }, .patience = 1});
  // Without a step the weights stay, only the running statistics move; the loss falls until it does not.
  double least = std::numeric_limits<double>::infinity();
  const auto& epochs = run.history.epochs;
  for (std::size_t i = 0; i + 1 < epochs.size(); ++i) {
    CHECK(epochs[i].val_loss < least);
    least = epochs[i].val_loss;
  }
  if (epochs.size() < 20) CHECK_FALSE(epochs.back().val_loss < least);
}

TEST_CASE("fit: schedules by epoch and by step, clipping, smoothing") {
  Run by_epoch, by_step, plain, clipped, smooth;
  by_epoch.fit({.epochs = 3, .schedule = [](Index e) { return 0.1 / static_cast<double>(e + 1); }});
  CHECK(by_epoch.history.column(&EpochRecord::lr) == std::vector<double>{0.1, 0.1 / 2, 0.1 / 3});
  Index calls = 0;
  by_step.fit({.epochs = 2,
               .schedule =
                   [&](Index s) {
                     CHECK(s == calls++);
                     return 1e-3 * static_cast<double>(s);
                   },
               .schedule_by = ScheduleBy::step});
  CHECK(calls == 14);  // 100 pictures in batches of 16
  CHECK(by_step.history.column(&EpochRecord::lr) == std::vector<double>{1e-3 * 6, 1e-3 * 13});
  plain.fit({.epochs = 1});
  clipped.fit({.epochs = 1, .clip_norm = 1e-6});
  CHECK(clipped.history.epochs[0].train_loss > plain.history.epochs[0].train_loss);
  smooth.fit({.epochs = 1, .label_smoothing = 0.5});
  CHECK(smooth.history.epochs[0].train_loss != plain.history.epochs[0].train_loss);
}

TEST_CASE("fit: best and last checkpoints hold the epochs they say") {
  const ScratchFolder folder;
  Run run;
  // The learning rate explodes in the second half, so that the best epoch is not the last.
  run.fit(
      {.epochs = 6, .schedule = [](Index e) { return e < 3 ? 0.05 : 3.0; }, .checkpoints = folder.path()});
  CHECK(folder.entries() == 2);
  const EpochRecord* best = run.history.best();
  CHECK(best->epoch < 6);
  Run other;
  const io::Json last = load_checkpoint(folder.path() / "last.safetensors", other.model, other.optimizer);
  CHECK(same(history_from_json(last.at("history")), run.history));
  CHECK(other.state() == run.state());
  const io::Json at_best = load_checkpoint(folder.path() / "best.safetensors", other.model, other.optimizer);
  CHECK(history_from_json(at_best.at("history")).epochs.back().epoch == best->epoch);
  CHECK(evaluate(other.model, other.validation).accuracy == best->val_accuracy);
}

TEST_CASE("fit: without resume an earlier run is ignored") {
  const ScratchFolder folder;
  Run().fit({.epochs = 3, .checkpoints = folder.path()});
  Run again, fresh;
  again.fit({.epochs = 1, .checkpoints = folder.path()});
  fresh.fit({.epochs = 1});
  CHECK(same(again.history, fresh.history));
  CHECK(again.state() == fresh.state());
}

TEST_CASE("fit: a checkpoint that does not fit the run is refused, and nothing has changed") {
  const ScratchFolder folder;
  const auto path = folder.path() / "last.safetensors";
  Run first;
  first.fit({.epochs = 2, .checkpoints = folder.path(), .config = {{"seed", 1}, {"lr", 0.1}}});
  const io::Json good = load_checkpoint(path, first.model, first.optimizer);
  const auto refused = [&](Run& run, FitOptions o) {
    o.checkpoints = folder.path();
    o.resume = true;
    o.epochs = 3;
    const auto before = run.state();
    const std::string message = error_text<FileError>([&] { run.fit(o); });
    CHECK(message.starts_with(path.string()));
    CHECK(run.state() == before);
    return message.substr(path.string().size());
  };
  const auto with_run = [&](const auto& edit, FitOptions o = {}) {
    io::Json run = good;
    edit(run);
    save_checkpoint(path, first.model, first.optimizer, run);
    Run other;
    return refused(other, o);
  };
  Run other, batch;
  CHECK(refused(other, {.config = {{"seed", 2}}}) == ": cannot resume: written with seed 1, this run has 2");
  CHECK(refused(other, {.config = {{"lr", 0.1}, {"momentum", 0.9}}}) ==
        ": cannot resume: written with momentum null, this run has 0.9");
  batch.training = Loader(batch.training.dataset(), {.batch_size = 50});
  CHECK(refused(batch, {}) ==
        ": cannot resume: written after 14 steps in 2 epochs, this loader has 2 batches an epoch");

  ReduceOnPlateau plateau({.lr = 0.4});
  const auto plateau_before = state_of(plateau);
  CHECK(refused(other, {.plateau = &plateau}) ==
        ": not a training checkpoint: its run description is incomplete");
  const io::Json good_state = {{"lr", "0.2"}, {"best", "inf"}, {"bad", "1"}, {"cooling", "0"}};
  for (const auto& [key, value] :
       {std::pair{"best", "x"}, {"bad", "1.5"}, {"lr", ""}, {"cooling", "99999999999999999999"}}) {
    CHECK(with_run(
              [&, k = key, v = value](io::Json& run) {
                run["plateau"] = good_state;
                run["plateau"][k] = v;
              },
              {.plateau = &plateau}) ==
          text(": not a training checkpoint: the plateau's ", key, " is not a number"));
  }
  CHECK(state_of(plateau) == plateau_before);

  const std::string incomplete = ": not a training checkpoint: its run description is incomplete";
  for (const char* key : {"history", "steps", "config"}) {
    CHECK(with_run([&](io::Json& run) { run.erase(key); }) == incomplete);
  }
  CHECK(with_run([](io::Json& run) { run = 5; }) == incomplete);
  CHECK(with_run([](io::Json& run) { run["history"][0].erase("val_loss"); }) == incomplete);
  CHECK(with_run([](io::Json& run) { run["history"][0]["lr"] = "fast"; }) == incomplete);
  CHECK(with_run([](io::Json& run) { run["config"] = 3; }, {.config = {{"seed", 1}}}) == incomplete);
  CHECK(with_run([](io::Json& run) { run["history"][1]["epoch"] = 7; }) ==
        ": not a training checkpoint: history: row 1 is not epoch 2");
  CHECK(contains(with_run([](io::Json& run) { run["steps"] = -1; }), "written after -1 steps"));
  CHECK(contains(with_run([](io::Json& run) { run["steps"] = 1e300; }), "cannot resume"));
}

TEST_CASE("fit: a truncated last checkpoint is refused by name, and nothing has changed") {
  const ScratchFolder folder;
  const auto path = folder.path() / "last.safetensors";
  Run().fit({.epochs = 1, .checkpoints = folder.path()});
  const std::string bytes = io::read_file(path);
  io::write_file(path, bytes.substr(0, bytes.size() / 2));
  Run run;
  const auto before = run.state();
  CHECK(error_text<FileError>([&] {
          run.fit({.epochs = 2, .checkpoints = folder.path(), .resume = true});
        }).starts_with(path.string() + ": "));
  CHECK(run.state() == before);
  CHECK(folder.entries() == 2);
}

TEST_CASE("fit: what is refused") {
  Run run;
  CHECK(error_text<ValueError>([&] { run.fit({.epochs = 0}); }) == "fit: epochs is 0, expected at least 1");
  CHECK(error_text<ValueError>([&] { run.fit({.epochs = 1, .schedule = [](Index) { return -1.0; }}); }) ==
        "Sgd: lr is -1, expected at least 0");
  const std::string diverged =
      error_text<ValueError>([&] { run.fit({.epochs = 3, .schedule = [](Index) { return 1e30; }}); });
  CHECK(contains(diverged, "fit: the loss is "));
  CHECK(contains(diverged, "a lower learning rate or clip_norm may help"));

  Run empty;
  empty.validation = Loader(empty.validation.dataset(), {.batch_size = 64, .drop_last = true});
  CHECK(error_text<ValueError>([&] { empty.fit({.epochs = 1}); }) ==
        "fit: 7 batches for training and 0 for validation, expected at least 1");
  Run labels;
  labels.training =
      Loader(data::synthetic_shapes({.count = 60, .size = 16, .classes = 6}), {.batch_size = 16});
  CHECK(
      contains(error_text<ValueError>([&] { labels.fit({.epochs = 1}); }), "is out of range for 4 classes"));
  const ScratchFolder folder;
  const auto file = folder.file("file", "x");
  CHECK(error_text<FileError>([&] {
          labels.fit({.epochs = 1, .checkpoints = file});
        }).starts_with(file.string()));
}

TEST_CASE("evaluate: each module keeps its mode, the confusion matrix is filled, also where it fails") {
  Run run;
  run.model.norm.training = false;
  ConfusionMatrix confusion({"a", "b", "c", "d"});
  const Evaluation e = evaluate(run.model, run.validation, 2, &confusion);
  CHECK(confusion.total() == 40);
  CHECK(confusion.accuracy() == e.accuracy);
  CHECK(e.topk_accuracy >= e.accuracy);
  CHECK(run.model.drop.training);
  CHECK_FALSE(run.model.norm.training);
  ConfusionMatrix small({"a"});
  CHECK_THROWS_AS(evaluate(run.model, run.validation, 2, &small), ValueError);
  CHECK(run.model.drop.training);
  CHECK_FALSE(run.model.norm.training);
}
