// Training or inference steps of one network on random pictures: images/s of each timed step, one number a
// line, then the peak of resident memory, `peak_bytes N`. bench/compare.py runs it beside the same work in
// PyTorch.
#include <tenon/tenon.hpp>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace tenon;

struct Run {
  std::string model = "lenet5", mode = "training";
  Index batch = 128;
  int threads = 1, steps = 20;
  bool cpu_time = false;
  Index side = 32;  // of the pictures
  Index classes = 10;
};

template <class Step>
void time_steps(const Run& run, const Step& step) {
  const auto now = [&] {
    return run.cpu_time
               ? static_cast<double>(std::clock()) / CLOCKS_PER_SEC
               : std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  for (int count = -3; count < run.steps; ++count) {  // three to warm up
    const double start = now();
    step();
    const double seconds = now() - start;
    if (count >= 0) std::printf("%.2f\n", static_cast<double>(run.batch) / seconds);
  }
}

template <class Model>
void time_model(const Run& run, Model model, Rng& rng) {
  const auto images = Tensor<float>::uniform({run.batch, run.side, run.side, 3}, rng, -1, 1);
  if (run.mode == "inference") {
    auto folded = nn::fold_batchnorm(std::move(model));
    const NoGrad no_grad;
    return time_steps(run, [&] { folded(Var<float>(images)); });
  }
  Sgd optimizer(nn::parameters(model), {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  nn::Labels labels({run.batch});
  for (Index i = 0; i < run.batch; ++i) {
    labels.at({i}) = static_cast<std::int32_t>(rng.below(run.classes));
  }
  time_steps(run, [&] {
    const auto loss = nn::cross_entropy(model(Var<float>(images)), labels);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
  });
}

void print_peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) std::printf("peak_bytes %lld\n", 1024 * std::stoll(line.substr(6)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run;
  CLI::App app("Times training and inference", "train_speed");
  app.add_option("--model", run.model)->check(CLI::IsMember({"lenet5", "resnet20", "resnet50"}));
  app.add_option("--mode", run.mode, "inference: in evaluation mode, batch normalisation folded")
      ->check(CLI::IsMember({"training", "inference"}));
  app.add_option("--batch", run.batch)->check(CLI::PositiveNumber);
  app.add_option("--threads", run.threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", run.steps)->check(CLI::PositiveNumber);
  app.add_flag("--cpu-time", run.cpu_time,
               "count the process's time on the processor: one thread, busy machine");
  CLI11_PARSE(app, argc, argv);
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush denormals, as the peer does; threads started later inherit it
#endif
  set_thread_count(run.threads);
  Rng rng(1);
  if (run.model == "lenet5") {
    time_model(run, models::LeNet5<float>({}, rng), rng);
  } else if (run.model == "resnet20") {
    time_model(run, models::CifarResNet<float>({.depth = 20}, rng), rng);
  } else {
    run.side = 224;
    run.classes = 1000;
    time_model(run, models::ResNet<float>({.depth = 50}, rng), rng);
  }
  print_peak_memory();
}
