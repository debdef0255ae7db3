// cifar: trains a small network on 32×32 pictures and reports how it went; with --compare, LeNet against its
// residual twin. The last line is the best validation accuracy.
#include "../common/device.hpp"
#include "report.hpp"

int main(int argc, char** argv) {
  using namespace programs;
  CommonOptions common;
  TrainingOptions options;
  std::string model = "residual";
  bool compare = false, plain = false;

  CLI::App app("Trains a network on CIFAR-10 (or a built-in synthetic set) and writes its learning curves", "cifar");
  add_common_options(app, common);
  auto* choice = app.add_option("--model", model, "Network")
                     ->check(CLI::IsMember(
                         {"lenet", "residual", "lenet5", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"}))
                     ->capture_default_str();
  app.add_flag("--compare", compare, "LeNet and its residual twin, side by side")->excludes(choice);
  app.add_option("--epochs", options.epochs, "Passes over the training pictures")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Pictures a step")->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--lr", options.lr, "Learning rate")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--momentum", options.momentum, "Momentum of SGD")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--weight-decay", options.weight_decay, "Weight decay")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--schedule", options.schedule, "How the learning rate falls")
      ->check(CLI::IsMember({"constant", "step", "multistep", "exponential", "cosine", "onecycle"}))
      ->capture_default_str();
  app.add_flag("--no-augment", plain, "Train on the pictures as they are, without random flips and crops");
  app.add_flag("--resume", options.resume, "Go on from the last checkpoint in --out");

  return run_program(app, argc, argv, common, [&] {
    const Stopwatch watch;
    options.augment = !plain;
    std::vector<Outcome> outcomes;
    with_device(common.device, [&]<class D>(D) {  // a device that is not there is noticed before any work
      const Pictures pictures = load_pictures(common);
      std::printf("pictures: %s, %td for training, %td for validation\n", pictures.origin.c_str(),
                  pictures.train.size(), pictures.val.size());
      tenon::io::ensure_directory(common.out);
      const std::vector<std::string> models =
          compare ? std::vector<std::string>{"lenet", "residual"} : std::vector{model};
      for (const std::string& name : models) outcomes.push_back(train_model<D>(name, pictures, options, common));
      const auto peak = static_cast<tenon::Index>(tenon::Backend<D>::memory_stats().peak);
      write_report(outcomes, pictures, options, common, watch.seconds(), peak);
    });
    for (const Outcome& outcome : outcomes) {
      const auto* best = outcome.history.best();
      std::printf("%s: best validation accuracy %.4f in epoch %td\n", outcome.name.c_str(), best->val_accuracy,
                  best->epoch);
    }
    std::printf("report: %s\n", (fs::path(common.out) / "report.html").c_str());
    std::printf("accuracy %.4f\n", outcomes.back().history.best()->val_accuracy);
  });
}
