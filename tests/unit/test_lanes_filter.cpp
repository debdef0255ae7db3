// Minimal filtering along the lines: its transforms against sums, and the convolutions that it makes against
// the plain loops, with the rounding error bounded.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "tenon/backend/cpu/conv_lanes.hpp"

using namespace tenon;
using cpu::LineFilter;
using testing::describe;
using testing::error_of;

namespace {

std::vector<double> random_numbers(Rng& rng, Index count) {
  const auto values = Tensor<double>::uniform({count}, rng, -1, 1);
  return {values.data(), values.data() + count};
}

// Windows five wide with strides of 1, of which all three directions or all but the gradient of x go by
// lines.
Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    Conv2dGeometry g{.n = 16 + rng.below(20),
                     .h = 1 + rng.below(14),
                     .w = 5 + rng.below(26),
                     .c = 3 + rng.below(8),
                     .o = 3 + rng.below(14),
                     .kh = 1 + rng.below(7),
                     .kw = 5};
    g.pad_h = rng.below(g.kh);
    g.pad_w = rng.below(g.kw);
    if (testing::set_output_size(g) && cpu::conv_lanes_fits(g) && cpu::LanesPlan::forward<float>(g).filtered)
      return g;
  }
}

}  // namespace

TEST_CASE("line filter: transforms along one axis") {
  Rng rng(1);
  for (int round = 0; round < 20; ++round) {
    const auto d = random_numbers(rng, LineFilter::points), g = random_numbers(rng, LineFilter::taps),
               dy = random_numbers(rng, LineFilter::outputs);
    double v[LineFilter::points], m[LineFilter::points], s[LineFilter::points], y[LineFilter::outputs];
    LineFilter::input(d.data(), v);
    LineFilter::spread(dy.data(), s);
    for (int point = 0; point < LineFilter::points; ++point) {
      m[point] = 0;
      for (int k = 0; k < LineFilter::taps; ++k)
        m[point] += LineFilter::filter(point, k) * g[static_cast<std::size_t>(k)] * v[point];
    }
    LineFilter::output(m, y);
    for (std::size_t i = 0; i < LineFilter::outputs; ++i) {
      double expected = 0;
      for (std::size_t k = 0; k < LineFilter::taps; ++k) expected += g[k] * d[i + k];
      CHECK(!(std::abs(y[i] - expected) > 1e-13));
    }
    for (std::size_t k = 0; k < LineFilter::taps; ++k) {
      double expected = 0, found = 0;
      for (std::size_t i = 0; i < LineFilter::outputs; ++i) expected += dy[i] * d[i + k];
      for (int point = 0; point < LineFilter::points; ++point)
        found += LineFilter::filter(point, static_cast<int>(k)) * s[point] * v[point];
      CHECK(!(std::abs(found - expected) > 1e-13));
    }
  }
}

TEST_CASE("line filter: 40 random geometries on every instruction set, against double") {
  Rng rng(2);
  int data_filtered = 0;
  for (int i = 0; i < testing::rounds(40); ++i) {
    const auto g = random_geometry(rng);
    data_filtered += cpu::LanesPlan::backward_data<float>(g).filtered;
    const auto in = testing::random_operands<double>(g, rng);
    const testing::ConvOperands<float> rounded{in.x.cast<float>(), in.w.cast<float>(), in.bias.cast<float>(),
                                               in.dy.cast<float>()};
    const testing::ConvOperands<double> exact{rounded.x.cast<double>(), rounded.w.cast<double>(),
                                              rounded.bias.cast<double>(), rounded.dy.cast<double>()};
    const auto expected = testing::plain_loops(g, exact, {.bias = exact.bias.data()});
    testing::each_isa([&](auto isa, const char* name) {
      using Isa = decltype(isa);
      auto found = testing::poisoned_results(rounded);
      cpu::conv2d_forward_lanes<float, Isa>(g, rounded.x.data(), rounded.w.data(),
                                            {.bias = rounded.bias.data()}, found.y.data());
      cpu::conv2d_backward_data_lanes<float, Isa>(g, rounded.dy.data(), rounded.w.data(), found.dx.data());
      cpu::conv2d_backward_weights_lanes<float, Isa>(g, rounded.x.data(), rounded.dy.data(), found.dw.data());
      constexpr double bound = 5e-6;  // of the largest value
      CHECK_MESSAGE(error_of(found.y.cast<double>(), expected.y) <= bound, name, " forward ", describe(g));
      CHECK_MESSAGE(error_of(found.dx.cast<double>(), expected.dx) <= bound, name, " backward data ",
                    describe(g));
      CHECK_MESSAGE(error_of(found.dw.cast<double>(), expected.dw) <= bound, name, " backward weights ",
                    describe(g));
    });
  }
  CHECK(data_filtered > testing::rounds(40) / 4);
}

TEST_CASE("line filter: chosen for float and for windows that repay it") {
  const Conv2dGeometry first{.n = 16, .h = 32, .w = 32, .c = 3, .o = 6, .kh = 5, .kw = 5, .oh = 28, .ow = 28};
  CHECK(cpu::LanesPlan::forward<float>(first).filtered);
  CHECK(!cpu::LanesPlan::forward<double>(first).filtered);
  Conv2dGeometry small = first;
  small.w = 5, small.ow = 1;  // a whole tile for one output
  CHECK(!cpu::LanesPlan::forward<float>(small).filtered);
  Conv2dGeometry strided = first;
  strided.stride_w = 2, strided.ow = 14;
  CHECK(!cpu::LanesPlan::forward<float>(strided).filtered);
}
