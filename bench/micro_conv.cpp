// Every distinct convolution of ResNet-50 (batch 8) and ResNet-20 (batch 128) in its three directions,
// GFLOP/s.
#include <tenon/tenon.hpp>

#include <benchmark/benchmark.h>

#include "cases.hpp"

namespace {

using Engine = tenon::Backend<tenon::Cpu>;

void conv(benchmark::State& state, const bench::Case& c, int threads) {
  tenon::set_thread_count(threads);
  const auto& s = c.conv;
  const auto g = tenon::Conv2dGeometry{.n = s.n,
                                       .h = s.h,
                                       .w = s.w,
                                       .c = s.c,
                                       .o = s.o,
                                       .kh = s.k,
                                       .kw = s.k,
                                       .oh = s.oh(),
                                       .ow = s.ow(),
                                       .stride_h = s.stride,
                                       .stride_w = s.stride,
                                       .pad_h = s.padding,
                                       .pad_w = s.padding};
  auto x = bench::numbers(s.x_size()), w = bench::numbers(s.w_size()), y = bench::numbers(s.y_size());
  for (auto _ : state) {
    switch (c.work) {
      case bench::Work::data:
        Engine::conv2d_backward_data(g, y.data(), w.data(), x.data());
        break;
      case bench::Work::weights:
        Engine::conv2d_backward_weights(g, x.data(), y.data(), w.data());
        break;
      default:
        Engine::conv2d_forward(g, x.data(), w.data(), static_cast<const float*>(nullptr), y.data());
    }
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] = benchmark::Counter(c.flops(), benchmark::Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool registered = [] {
  for (const auto& c : bench::conv_cases()) {
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark((c.text() + "/threads:" + std::to_string(threads)).c_str(), conv, c,
                                   threads)
          ->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
