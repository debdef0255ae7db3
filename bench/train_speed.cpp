// Training steps of one network on random pictures, one number a line: images/s of each timed step.
// bench/compare.py runs it beside the same work in PyTorch.
#include <tenon/tenon.hpp>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

namespace {

template <class Model>
void time_steps(Model& model, tenon::Index batch, int steps, tenon::Rng& rng) {
  using namespace tenon;
  using Clock = std::chrono::steady_clock;
  Sgd optimizer(nn::parameters(model), {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  const auto images = Tensor<float>::uniform({batch, 32, 32, 3}, rng, -1, 1);
  nn::Labels labels({batch});
  for (Index i = 0; i < batch; ++i) labels.at({i}) = static_cast<std::int32_t>(rng.below(10));
  for (int step = -3; step < steps; ++step) {  // three to warm up
    const auto start = Clock::now();
    const auto loss = nn::cross_entropy(model(Var<float>(images)), labels);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (step >= 0) std::printf("%.2f\n", static_cast<double>(batch) / seconds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string model = "lenet5";
  tenon::Index batch = 128;
  int threads = 1, steps = 20;
  CLI::App app("Times training steps", "train_speed");
  app.add_option("--model", model)->check(CLI::IsMember({"lenet5", "resnet20"}));
  app.add_option("--batch", batch)->check(CLI::PositiveNumber);
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", steps)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  tenon::set_thread_count(threads);
  tenon::Rng rng(1);
  if (model == "lenet5") {
    tenon::models::LeNet5<float> net({}, rng);
    time_steps(net, batch, steps, rng);
  } else {
    tenon::models::CifarResNet<float> net({.depth = 20}, rng);
    time_steps(net, batch, steps, rng);
  }
}
