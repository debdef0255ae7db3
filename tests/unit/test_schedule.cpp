// Learning-rate schedules: their shapes and their limits. PyTorch's own numbers are compared in golden/.
#include "close.hpp"
#include "tenon/optim/one_cycle.hpp"
#include "tenon/optim/plateau.hpp"

using namespace tenon;
using doctest::Approx;
using testing::error_text;

TEST_CASE("step, multi-step and exponential") {
  const StepLr step({.lr = 0.1, .every = 3, .gamma = 0.5});
  CHECK(step(0) == 0.1);
  CHECK(step(2) == 0.1);
  CHECK(step(3) == Approx(0.05));
  CHECK(step(8) == Approx(0.025));
  const MultiStepLr multi({.lr = 0.01, .milestones = {15, 25, 25}, .gamma = 0.1});
  CHECK(multi(14) == 0.01);
  CHECK(multi(15) == Approx(0.001));
  CHECK(multi(25) == Approx(1e-5));
  CHECK(ExponentialLr({.lr = 2, .gamma = 0.5})(3) == 0.25);
}

TEST_CASE("cosine: ends, middle and symmetry") {
  const CosineLr cosine({.lr = 0.4, .steps = 10, .min_lr = 0.1});
  CHECK(cosine(0) == 0.4);
  CHECK(cosine(5) == Approx(0.25));
  CHECK(cosine(10) == Approx(0.1));
  CHECK(cosine(3) + cosine(7) == Approx(0.5));
  CHECK(cosine(11) == Approx(cosine(9)));
}

TEST_CASE("warm-up, and one schedule after another") {
  const LinearWarmup warm({.lr = 1, .steps = 4, .start_factor = 0.2});
  CHECK(warm(0) == 0.2);
  CHECK(warm(2) == Approx(0.6));
  CHECK(warm(4) == 1);
  CHECK(warm(40) == 1);
  const Schedule both = chain(warm, 4, CosineLr({.lr = 1, .steps = 6}));
  CHECK(both(3) == Approx(0.8));
  CHECK(both(4) == 1);
  CHECK(both(7) == Approx(0.5));
  const Schedule three = chain(both, 10, [](Index step) { return 0.001 * static_cast<double>(step); });
  CHECK(three(12) == 0.002);
}

TEST_CASE("one cycle: rises, falls, and the momentum mirrors it") {
  const OneCycle cycle(
      {.max_lr = 1, .steps = 101, .rising_part = 0.5, .div_factor = 10, .final_div_factor = 100});
  CHECK(cycle(0) == Approx(0.1));
  CHECK(cycle.momentum(0) == Approx(0.95));
  CHECK(cycle(100) == Approx(0.001));
  CHECK(cycle.momentum(100) == Approx(0.95));
  double top = 0, lowest = 1;
  for (Index s = 0; s < 101; ++s) {
    top = std::max(top, cycle(s));
    lowest = std::min(lowest, cycle.momentum(s));
  }
  CHECK(top == Approx(1).epsilon(1e-3));
  CHECK(lowest == Approx(0.85).epsilon(1e-3));
  CHECK(error_text<ValueError>([&] { cycle(101); }) == "OneCycle: step 101, the cycle has 101 steps");
  CHECK(OneCycle({.max_lr = 1, .steps = 1})(0) >= 0);
  CHECK(OneCycle({.max_lr = 1, .steps = 10, .rising_part = 0.1})(0) == Approx(1));
  CHECK(OneCycle({.max_lr = 1, .steps = 10, .rising_part = 1})(9) == Approx(1));
}

TEST_CASE("plateau: patience, threshold, cooldown, the lowest rate") {
  ReduceOnPlateau plateau(
      {.lr = 1, .factor = 0.5, .patience = 1, .threshold = 0.1, .cooldown = 2, .min_lr = 0.2});
  CHECK(plateau.update(10) == 1);
  CHECK(plateau.update(9.5) == 1);  // not a tenth better: bad
  CHECK(plateau.update(8.9) == 1);  // better
  CHECK(plateau.update(9) == 1);    // bad
  CHECK(plateau.update(9) == 0.5);  // more than one bad
  CHECK(plateau.update(9) == 0.5);  // cooling
  CHECK(plateau.update(9) == 0.5);  // cooling
  CHECK(plateau.update(9) == 0.5);  // bad
  CHECK(plateau.update(std::nan("")) == 0.25);
  for (int i = 0; i < 20; ++i) plateau.update(9);
  CHECK(plateau.lr() == 0.2);

  ReduceOnPlateau rising({.lr = 1, .factor = 0.1, .patience = 0, .better = Better::larger});
  CHECK(rising.update(0.5) == 1);
  CHECK(rising.update(0.6) == 1);
  CHECK(rising.update(0.6) == Approx(0.1));
}

TEST_CASE("plateau: the state resumes") {
  const ReduceOnPlateauOptions options{.lr = 1, .factor = 0.5, .patience = 1, .cooldown = 1};
  ReduceOnPlateau a(options), b(options);
  for (const double metric : {3.0, 2.0, 2.5}) a.update(metric);
  std::vector<double> saved;
  a.state([&](const char*, auto& x) { saved.push_back(static_cast<double>(x)); });
  std::size_t at = 0;
  b.state([&](const char*, auto& x) { x = static_cast<std::remove_reference_t<decltype(x)>>(saved[at++]); });
  for (const double metric : {2.5, 2.5, 2.5, 2.5, 1.0, 3.0, 3.0}) CHECK(a.update(metric) == b.update(metric));
  CHECK(a.lr() < 1);
}

TEST_CASE("schedules: what is refused") {
  CHECK(error_text<ValueError>([] { StepLr({.every = 0}); }) == "StepLr: every is 0, expected at least 1");
  CHECK(error_text<ValueError>([] { CosineLr({.steps = 0}); }) ==
        "CosineLr: steps is 0, expected at least 1");
  CHECK(error_text<ValueError>([] { ExponentialLr({.lr = -1}); }) ==
        "ExponentialLr: lr is -1, expected at least 0");
  CHECK(error_text<ValueError>([] {
          MultiStepLr({.milestones = {5, 3}});
        }) == "MultiStepLr: the milestones do not rise");
  CHECK(error_text<ValueError>([] { StepLr({})(-1); }) == "StepLr: step -1 is negative");
  CHECK(error_text<ValueError>([] { chain({}, 1, StepLr({})); }) == "chain: a schedule is empty");
  CHECK(error_text<ValueError>([] { OneCycle({.rising_part = 1.5}); }) ==
        "OneCycle: rising_part is 1.5, expected 0 to 1");
  CHECK_THROWS_AS(LinearWarmup({.start_factor = -0.1}), ValueError);
  CHECK_THROWS_AS(ReduceOnPlateau({.factor = 1}), ValueError);
}
