// Learning-rate schedules against PyTorch, a hundred steps each.
#include "golden/golden.hpp"
#include "tenon/optim/optim.hpp"

using namespace tenon;
using golden::Values;

namespace {

// The steps' values beside the golden ones, each within 1e-12 of its own size: a schedule spans orders of
// magnitude, and its small end must be right too. PyTorch computes each rate from the one before, so that it
// has gathered a hundred roundings by the end.
template <class F>
void check_steps(const golden::File& file, const std::string& key, const F& at) {
  const Values expected = file[key];
  CHECK(expected.numel() == 100);
  for (Index t = 0; t < expected.numel(); ++t) {
    golden::check_close(Values::scalar(at(t)), expected[t], 1e-12, text(key, " at step ", t));
  }
}

struct Options {
  const io::Json& given;
  double number(const char* key) const { return given.at(key).get<double>(); }
  Index count(const char* key) const { return given.at(key).get<Index>(); }
  double lr() const { return number("lr"); }
};

Schedule warmup(const Options& o) {
  return LinearWarmup({.lr = o.lr(),
                       .steps = o.count("total_iters"),
                       .start_factor = o.number("start_factor"),
                       .end_factor = o.number("end_factor")});
}

Schedule cosine(const Options& o) {
  return CosineLr({.lr = o.lr(), .steps = o.count("t_max"), .min_lr = o.number("eta_min")});
}

void one_cycle(const golden::File& file, const Options& o) {
  const OneCycle cycle({.max_lr = o.number("max_lr"),
                        .steps = o.count("total_steps"),
                        .rising_part = o.number("pct_start"),
                        .div_factor = o.number("div_factor"),
                        .final_div_factor = o.number("final_div_factor"),
                        .base_momentum = o.number("base_momentum"),
                        .max_momentum = o.number("max_momentum")});
  check_steps(file, "one_cycle.lr", cycle);
  check_steps(file, "one_cycle.momentum", [&](Index t) { return cycle.momentum(t); });
}

void plateau(const golden::File& file, const std::string& name, const Options& o) {
  ReduceOnPlateau schedule({.lr = o.lr(),
                            .factor = o.number("factor"),
                            .patience = o.count("patience"),
                            .threshold = o.number("threshold"),
                            .cooldown = o.count("cooldown"),
                            .min_lr = o.given.value("min_lr", 0.0)});
  const Values metric = file[name + ".metric"];
  check_steps(file, name + ".lr",
              [&](Index t) { return t == 0 ? schedule.lr() : schedule.update(metric.at({t - 1})); });
}

}  // namespace

TEST_CASE("schedules agree with PyTorch") {
  const golden::File file("schedules.safetensors");
  CHECK(!file.cases().empty());
  for (const auto& item : file.cases().items()) {
    const std::string& name = item.key();
    const auto& about = item.value();
    const Options o{about.at("parameters")};
    const std::string lr = name + ".lr";
    if (name == "step") {
      check_steps(file, lr,
                  StepLr({.lr = o.lr(), .every = o.count("step_size"), .gamma = o.number("gamma")}));
    } else if (name == "multi_step") {
      const auto milestones = o.given.at("milestones").get<std::vector<Index>>();
      check_steps(file, lr,
                  MultiStepLr({.lr = o.lr(), .milestones = milestones, .gamma = o.number("gamma")}));
    } else if (name == "exponential") {
      check_steps(file, lr, ExponentialLr({.lr = o.lr(), .gamma = o.number("gamma")}));
    } else if (name == "cosine") {
      check_steps(file, lr, cosine(o));
    } else if (name == "one_cycle") {
      one_cycle(file, o);
    } else if (name == "linear") {
      check_steps(file, lr, warmup(o));
    } else if (name == "warmup_cosine") {
      check_steps(file, lr, chain(warmup(o), o.given.at("milestones").at(0).get<Index>(), cosine(o)));
    } else if (name == "plateau" || name == "plateau_cooldown") {
      plateau(file, name, o);
    } else {
      FAIL_CHECK("no test for golden case " << name);
    }
  }
}
