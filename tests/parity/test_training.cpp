// Whole networks: a few steps of training from the same start give the same losses on both devices.
#include "parity/parity.hpp"
#include "tenon/models/cifar_resnet.hpp"
#include "tenon/models/lenet.hpp"
#include "tenon/nn/loss.hpp"
#include "tenon/optim/optim.hpp"

using namespace tenon;

namespace {

// The losses of `steps` steps, and of the evaluation after them.
template <class D, class Model>
std::vector<double> losses(Model& model, int steps) {
  Sgd optimiser(nn::parameters(model), {.lr = 0.02, .momentum = 0.9, .weight_decay = 5e-4});
  std::vector<double> found;
  Rng rng(17);
  const auto batch_loss = [&] {
    const auto x = Tensor<float, Cpu>::uniform({16, 32, 32, 3}, rng, -1, 1).template to<D>();
    Tensor<std::int32_t> labels({16});
    for (auto& l : labels.span()) l = static_cast<std::int32_t>(rng.below(10));
    return nn::cross_entropy(model(Var<float, D>(x)), labels);
  };
  for (int step = 0; step < steps; ++step) {
    const auto loss = batch_loss();
    found.push_back(static_cast<double>(loss.item()));
    optimiser.zero_grad();
    loss.backward();
    optimiser.step();
  }
  nn::set_training(model, false);
  found.push_back(static_cast<double>(batch_loss().item()));
  return found;
}

template <template <class, class> class Model, class Options>
void check_training(const char* name, const Options& options, int steps) {
  Rng start(1), same(1);
  Model<float, Cpu> cpu(options, start);
  Model<float, Cuda> gpu(options, same);
  nn::load_state_dict(gpu, nn::state_dict(cpu));
  const auto expected = losses<Cpu>(cpu, steps), actual = losses<Cuda>(gpu, steps);
  const double error = parity::relative_error(actual, expected);
  const std::string seen = text(name, ": relative error ", error);
  CHECK_MESSAGE(!!(error <= 1e-3), seen);
  CHECK(expected.front() != expected[1]);
}

}  // namespace

TEST_CASE("training follows the CPU") {
  if (!parity::device("training follows the CPU")) return;
  check_training<models::LeNetTwin>("LeNet", models::LeNetTwinOptions{.residual = false}, 5);
  check_training<models::LeNetTwin>("residual twin", models::LeNetTwinOptions{.residual = true}, 5);
  check_training<models::CifarResNet>("ResNet-20", models::CifarResNetOptions{.depth = 20}, 3);
}
