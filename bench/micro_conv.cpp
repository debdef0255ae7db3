// Every distinct convolution of ResNet-50 (batch 8) and ResNet-20 (batch 128) in its three directions,
// GFLOP/s.
#include <benchmark/benchmark.h>

#include "tenon_conv.hpp"

namespace {

void conv(benchmark::State& state, const bench::Case& c, int threads) {
  tenon::set_thread_count(threads);
  bench::TenonConv work(c);
  for (auto _ : state) {
    work.run();
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
