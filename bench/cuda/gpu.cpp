// The GPU backend timed: training of whole networks, matrix products and convolutions, as CSV lines
// `name,value,unit`. bench/gpu_compare.py runs the same on PyTorch and prints the two side by side.
//
// Each number is the median of five runs, after a warm-up that also lets the libraries choose their
// algorithms.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "tenon/cuda.hpp"
#include "tenon/tenon.hpp"

using namespace tenon;

namespace {

// Seconds for one call of work(), of `calls` in a row.
template <class Work>
double seconds_per_call(int calls, const Work& work) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < 10; ++i) work();
  std::vector<double> runs;
  for (int run = 0; run < 5; ++run) {
    cuda::synchronize();
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) work();
    cuda::synchronize();
    runs.push_back(std::chrono::duration<double>(Clock::now() - start).count() / calls);
  }
  std::sort(runs.begin(), runs.end());
  return runs[2];
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("%s,%.4g,%s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

// Forward, backward and an SGD step on a batch that stays on the device.
template <class Model>
void time_training(const std::string& name, Model& model, Index batch) {
  Rng rng(2);
  const Var<float, Cuda> x(Tensor<float, Cuda>::uniform({batch, 32, 32, 3}, rng, -1, 1));
  Tensor<std::int32_t> labels({batch});
  for (auto& l : labels.span()) l = static_cast<std::int32_t>(rng.below(10));
  Sgd optimiser(nn::parameters(model), {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  const double seconds = seconds_per_call(50, [&] {
    const auto loss = nn::cross_entropy(model(x), labels);
    optimiser.zero_grad();
    loss.backward();
    optimiser.step();
  });
  print(name, static_cast<double>(batch) / seconds, "images/s");
}

template <class T>
void time_gemm(const std::string& name, Index size) {
  Rng rng(3);
  const auto a = Tensor<float, Cuda>::uniform({size, size}, rng, -1, 1).template cast<T>();
  const auto b = Tensor<float, Cuda>::uniform({size, size}, rng, -1, 1).template cast<T>();
  const double n = static_cast<double>(size), seconds = seconds_per_call(20, [&] { matmul(a, b); });
  print(name, 2 * n * n * n / seconds / 1e12, "TFLOP/s");
}

// 3×3 convolution of (batch,size,size,channels) to as many channels, forward and both gradients.
template <class T>
void time_conv(const std::string& name, Index batch, Index size, Index channels) {
  const Conv2dGeometry g{.n = batch,
                         .h = size,
                         .w = size,
                         .c = channels,
                         .o = channels,
                         .kh = 3,
                         .kw = 3,
                         .oh = size,
                         .ow = size,
                         .pad_h = 1,
                         .pad_w = 1};
  Rng rng(4);
  const auto random = [&](const Shape& shape) {
    return Tensor<float, Cuda>::uniform(shape, rng, -1, 1).template cast<T>();
  };
  const auto x = random({batch, size, size, channels}), dy = random({batch, size, size, channels});
  const auto w = random({channels, 3, 3, channels});
  Tensor<T, Cuda> y(x.shape()), dx(x.shape()), dw(w.shape());
  using B = Backend<Cuda>;
  const double seconds = seconds_per_call(20, [&] {
    B::conv2d_forward(g, x.data(), w.data(), static_cast<const T*>(nullptr), y.data());
    B::conv2d_backward_data(g, dy.data(), w.data(), dx.data());
    B::conv2d_backward_weights(g, x.data(), dy.data(), dw.data());
  });
  const double products =
      static_cast<double>(batch * size * size * channels) * static_cast<double>(9 * channels);
  print(name, 3 * 2 * products / seconds / 1e12, "TFLOP/s");
}

}  // namespace

int main() {
  try {
    cuda::require_device();
    Rng rng(1);
    models::LeNetTwin<float, Cuda> twin({.residual = true}, rng);
    time_training("lenet_twin_train_128", twin, 128);
    models::CifarResNet<float, Cuda> resnet({.depth = 20}, rng);
    time_training("resnet20_train_128", resnet, 128);
    time_gemm<float>("gemm_float_4096", 4096);
    time_gemm<bfloat16>("gemm_bfloat16_4096", 4096);
    time_conv<float>("conv3x3_float_128x32x32x64", 128, 32, 64);
    time_conv<bfloat16>("conv3x3_bfloat16_128x32x32x64", 128, 32, 64);
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
