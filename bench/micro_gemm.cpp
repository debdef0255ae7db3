// Matrix products, GFLOP/s: squares and the shapes that convolutions make.
#include <tenon/tenon.hpp>

#include <benchmark/benchmark.h>

#include "cases.hpp"

namespace {

void gemm(benchmark::State& state, const bench::GemmShape& shape, int threads) {
  tenon::set_thread_count(threads);
  const tenon::GemmGeometry g{.m = shape.m, .n = shape.n, .k = shape.k};
  const auto a = bench::numbers(g.m * g.k), b = bench::numbers(g.k * g.n);
  auto y = bench::numbers(g.m * g.n);
  for (auto _ : state) {
    tenon::Backend<tenon::Cpu>::gemm(g, a.data(), b.data(), y.data());
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] = benchmark::Counter(shape.flops(), benchmark::Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool registered = [] {
  for (const auto& shape : bench::gemm_shapes()) {
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark((shape.text() + "/threads:" + std::to_string(threads)).c_str(), gemm,
                                   shape, threads)
          ->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
