// GFLOP/s of Tenon's matrix products and convolutions, a line for each case named on the command line; the
// programs in peers/ take the same cases. bench/compare.py runs them in turns.
#include <tenon/tenon.hpp>

#include "cases.hpp"

namespace {

using Engine = tenon::Backend<tenon::Cpu>;

void time_gemm(const bench::Case& c, const bench::Options& options) {
  const tenon::GemmGeometry g{.m = c.gemm.m, .n = c.gemm.n, .k = c.gemm.k};
  const auto a = bench::numbers(g.m * g.k), b = bench::numbers(g.k * g.n);
  auto y = bench::numbers(g.m * g.n);
  bench::report(c, options, [&] { Engine::gemm(g, a.data(), b.data(), y.data()); });
}

void time_conv(const bench::Case& c, const bench::Options& options) {
  const auto& s = c.conv;
  const tenon::Conv2dGeometry g{.n = s.n,
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
  bench::report(c, options, [&] {
    if (c.work == bench::Work::forward) {
      Engine::conv2d_forward(g, x.data(), w.data(), static_cast<const float*>(nullptr), y.data());
    } else if (c.work == bench::Work::data) {
      Engine::conv2d_backward_data(g, y.data(), w.data(), x.data());
    } else {
      Engine::conv2d_backward_weights(g, x.data(), y.data(), w.data());
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = bench::read_options(argc, argv, "Times Tenon's kernels");
  tenon::set_thread_count(options.threads);
  for (const auto& c : options.cases)
    c.work == bench::Work::gemm ? time_gemm(c, options) : time_conv(c, options);
}
