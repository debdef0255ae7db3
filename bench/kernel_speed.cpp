// GFLOP/s of Tenon's matrix products and convolutions, a line for each case named on the command line; the
// programs in peers/ take the same cases. bench/compare.py runs them in turns.
#include "tenon_conv.hpp"

namespace {

void time_gemm(const bench::Case& c, const bench::Options& options) {
  const tenon::GemmGeometry g{.m = c.gemm.m, .n = c.gemm.n, .k = c.gemm.k};
  const auto a = bench::numbers(g.m * g.k), b = bench::numbers(g.k * g.n);
  auto y = bench::numbers(g.m * g.n);
  bench::report(c, options, [&] { tenon::Backend<tenon::Cpu>::gemm(g, a.data(), b.data(), y.data()); });
}

void time_conv(const bench::Case& c, const bench::Options& options) {
  bench::TenonConv conv(c);
  bench::report(c, options, [&] { conv.run(); });
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::read_options(argc, argv, "Times Tenon's kernels");
  tenon::set_thread_count(options.threads);
  for (const auto& c : options.cases)
    c.work == bench::Work::gemm ? time_gemm(c, options) : time_conv(c, options);
}
