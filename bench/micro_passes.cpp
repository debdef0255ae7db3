// The passes that wait for memory: normalisation, pooling, the loss, the optimiser. Bytes/s count every
// tensor that a pass must read or write once, so a pass that reads something twice shows less.
#include <tenon/tenon.hpp>

#include <benchmark/benchmark.h>

namespace {

using namespace tenon;

void count(benchmark::State& state, Index floats) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(sizeof(float)) * floats);
}

Tensor<float> random(const Shape& shape) {
  Rng rng(1);
  return Tensor<float>::normal(shape, rng);
}

// The pictures of three places in ResNet-50 at batch 8, and of one in ResNet-20 at batch 128.
void pictures(benchmark::internal::Benchmark* b) {
  b->ArgNames({"n", "side", "c", "threads"})->UseRealTime();
  for (const int threads : {1, 2}) {
    b->Args({8, 112, 64, threads})->Args({8, 56, 256, threads})->Args({8, 14, 1024, threads});
    b->Args({128, 32, 16, threads});
  }
}

Shape picture_shape(const benchmark::State& state) {
  set_thread_count(static_cast<int>(state.range(3)));
  return {state.range(0), state.range(1), state.range(1), state.range(2)};
}

// relu(bn(x)), training: forward alone reads x and writes y; backward reads x, y and dy and writes dx.
void norm_relu(benchmark::State& state, bool backward) {
  const auto x = Var<float>(random(picture_shape(state)), {.requires_grad = backward});
  const auto dy = random(x.shape());
  nn::BatchNorm2d<float> bn({.channels = x.size(3)});
  const nn::ReLU relu;
  for (auto _ : state) {
    Var<float> handle = x;
    const auto y = nn::norm_relu(bn, relu, x);
    if (backward) {
      y.backward(dy);
      handle.zero_grad();
    }
    benchmark::ClobberMemory();
  }
  count(state, x.numel() * (backward ? 6 : 2));
}
BENCHMARK_CAPTURE(norm_relu, forward, false)->Apply(pictures);
BENCHMARK_CAPTURE(norm_relu, both, true)->Apply(pictures);

// relu(bn(x) + r), the same with a residual read and its gradient written.
void norm_add_relu(benchmark::State& state, bool backward) {
  const auto x = Var<float>(random(picture_shape(state)), {.requires_grad = backward});
  const auto residual = Var<float>(random(x.shape()), {.requires_grad = backward});
  const auto dy = random(x.shape());
  nn::BatchNorm2d<float> bn({.channels = x.size(3)});
  const nn::ReLU relu;
  for (auto _ : state) {
    const auto y = nn::norm_add_relu(bn, relu, x, residual);
    if (backward) {
      y.backward(dy);
      for (Var<float> handle : {x, residual}) handle.zero_grad();
    }
    benchmark::ClobberMemory();
  }
  count(state, x.numel() * (backward ? 8 : 3));
}
BENCHMARK_CAPTURE(norm_add_relu, forward, false)->Apply(pictures);
BENCHMARK_CAPTURE(norm_add_relu, both, true)->Apply(pictures);

// Evaluation, by the running statistics.
void norm_relu_eval(benchmark::State& state) {
  const NoGrad no_grad;
  const Var<float> x(random(picture_shape(state)));
  nn::BatchNorm2d<float> bn({.channels = x.size(3)});
  bn.training = false;
  const nn::ReLU relu;
  for (auto _ : state) {
    const auto y = nn::norm_relu(bn, relu, x);
    benchmark::ClobberMemory();
  }
  count(state, x.numel() * 2);
}
BENCHMARK(norm_relu_eval)->Apply(pictures);

// Forward reads x and writes y and the indices; backward reads dy and the indices and writes dx.
void max_pool(benchmark::State& state, const Pool2dParameters& window, bool backward) {
  const auto x = Var<float>(random(picture_shape(state)), {.requires_grad = backward});
  const auto dy = random(max_pool2d(x, window).shape());
  for (auto _ : state) {
    Var<float> handle = x;
    const auto y = max_pool2d(x, window);
    if (backward) {
      y.backward(dy);
      handle.zero_grad();
    }
    benchmark::ClobberMemory();
  }
  count(state, (x.numel() + 2 * dy.numel()) * (backward ? 2 : 1));
}
BENCHMARK_CAPTURE(max_pool, 2s2_forward, {.kernel = 2}, false)->Apply(pictures);
BENCHMARK_CAPTURE(max_pool, 2s2_both, {.kernel = 2}, true)->Apply(pictures);
BENCHMARK_CAPTURE(max_pool, 3s2_forward, {.kernel = 3, .stride = 2, .padding = 1}, false)->Apply(pictures);
BENCHMARK_CAPTURE(max_pool, 3s2_both, {.kernel = 3, .stride = 2, .padding = 1}, true)->Apply(pictures);

// Loss and gradient: the logits are read, their gradient written.
void cross_entropy(benchmark::State& state) {
  set_thread_count(static_cast<int>(state.range(2)));
  Var<float> logits(random({state.range(0), state.range(1)}), {.requires_grad = true});
  nn::Labels labels({state.range(0)});
  for (Index i = 0; i < labels.numel(); ++i) labels.at({i}) = static_cast<std::int32_t>(i % logits.size(1));
  for (auto _ : state) {
    nn::cross_entropy(logits, labels).backward();
    logits.zero_grad();
    benchmark::ClobberMemory();
  }
  count(state, logits.numel() * 2);
}
BENCHMARK(cross_entropy)
    ->ArgNames({"n", "classes", "threads"})
    ->UseRealTime()
    ->Args({128, 10, 1})
    ->Args({128, 10, 2})
    ->Args({128, 1000, 1})
    ->Args({128, 1000, 2});

// SGD with momentum over all of a network: parameters, gradients and velocities read, two of them written.
void sgd(benchmark::State& state) {
  set_thread_count(static_cast<int>(state.range(1)));
  Rng rng(1);
  models::ResNet<float> net({.depth = static_cast<int>(state.range(0))}, rng);
  for (auto& p : nn::parameters(net)) p.set_grad(Tensor<float>::zeros(p.shape()));
  Sgd optimizer(nn::parameters(net), {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  for (auto _ : state) optimizer.step();
  count(state, nn::parameter_count(net) * 5);
}
BENCHMARK(sgd)
    ->ArgNames({"resnet", "threads"})
    ->UseRealTime()
    ->Args({18, 1})
    ->Args({18, 2})
    ->Args({50, 1})
    ->Args({50, 2});

}  // namespace
