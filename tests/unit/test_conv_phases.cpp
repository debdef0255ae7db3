// Large windows with stride 2 on few channels, computed as 4×4 windows on squares of pixels, against the plain loops in
// double.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ConvOperands;
using testing::describe;
using testing::error_of;
using testing::exactly;

namespace {

Conv2dGeometry geometry(Index n, Index h, Index w, Index c, Index o, Index kh, Index kw, Index pad_h, Index pad_w) {
  Conv2dGeometry g{.n = n,
                   .h = h,
                   .w = w,
                   .c = c,
                   .o = o,
                   .kh = kh,
                   .kw = kw,
                   .stride_h = 2,
                   .stride_w = 2,
                   .pad_h = pad_h,
                   .pad_w = pad_w};
  testing::set_output_size(g);
  return g;
}

const Conv2dGeometry resnet = geometry(2, 64, 48, 3, 64, 7, 7, 3, 3);

Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    const auto g = geometry(1 + rng.below(3), 1 + rng.below(30), 1 + rng.below(30), 1 + rng.below(4),
                            16 * (1 + rng.below(4)), 7 + rng.below(2), 7 + rng.below(2), rng.below(9), rng.below(9));
    if (g.h + 2 * g.pad_h >= g.kh && g.w + 2 * g.pad_w >= g.kw) return g;
  }
}

// The result with `finish`, whose bias and residual are those of `in`: bias and dy.
template <class Isa>
void compare(const Conv2dGeometry& g, const ConvOperands<float>& in, bool residual, bool relu, const char* isa) {
  const auto exact = exactly(in);
  auto y = testing::poisoned<float>(in.dy.shape()), dw = testing::poisoned<float>(in.w.shape());
  cpu::conv2d_forward_phases<float, Isa>(
      g, in.x.data(), in.w.data(),
      {.bias = in.bias.data(), .residual = residual ? in.dy.data() : nullptr, .relu = relu, .row = g.o}, y.data());
  const auto expected = testing::plain_forward(
      g, exact,
      {.bias = exact.bias.data(), .residual = residual ? exact.dy.data() : nullptr, .relu = relu, .row = g.o});
  CHECK_MESSAGE(error_of(exactly(y), expected) <= 2e-5, isa, " forward ", describe(g));

  Tensor<double> gradient(in.w.shape());
  cpu::conv2d_backward_weights_reference(g, exact.x.data(), exact.dy.data(), gradient.data());
  cpu::conv2d_backward_weights_phases<float, Isa>(g, in.x.data(), in.dy.data(), dw.data());
  CHECK_MESSAGE(error_of(exactly(dw), gradient) <= 2e-5, isa, " weights ", describe(g));
}

}  // namespace

TEST_CASE("windows on squares of pixels: 80 random geometries within 2e-5 on every instruction set") {
  Rng rng(1);
  for (int i = 0; i < testing::rounds(80); ++i) {
    const auto g = i == 0 ? resnet : random_geometry(rng);
    REQUIRE(cpu::conv_phases_fits(g));
    const auto in = testing::random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) { compare<decltype(isa)>(g, in, i % 2, i % 3 == 0, name); });
  }
}

TEST_CASE("windows on squares of pixels: which convolutions they serve, and when they are chosen") {
  using cpu::ConvMethod;
  CHECK(cpu::conv_costs(geometry(8, 224, 224, 3, 64, 7, 7, 3, 3)).best() == ConvMethod::winograd_phases);
  CHECK(cpu::conv_costs(geometry(1, 224, 224, 3, 64, 7, 7, 3, 3), cpu::ConvDirection::forward, true).best() ==
        ConvMethod::winograd_phases);
  CHECK(cpu::conv_costs(geometry(1, 8, 8, 3, 64, 7, 7, 3, 3)).best() == ConvMethod::gemm);  // four tiles
  for (auto change :
       {+[](Conv2dGeometry& g) { g.kh = 6; }, +[](Conv2dGeometry& g) { g.kw = 9; }, +[](Conv2dGeometry& g) { g.c = 5; },
        +[](Conv2dGeometry& g) { g.o = 24; }, +[](Conv2dGeometry& g) { g.stride_w = 1; },
        +[](Conv2dGeometry& g) { g.dilation_h = 2; }, +[](Conv2dGeometry& g) { g.h = 0, g.pad_h = 0; }}) {
    auto g = resnet;
    change(g);
    testing::set_output_size(g);
    CHECK_MESSAGE(!cpu::conv_phases_fits(g), describe(g));
  }
}

TEST_CASE("windows on squares of pixels: the same bits for any number of threads, and with weights that are kept") {
  Rng rng(2);
  const auto in = testing::random_operands<float>(resnet, rng);
  Derived forms;
  const auto run = [&](int threads, Derived* kept) {
    const testing::ThreadScope scope(threads);
    auto out = testing::poisoned_results(in);
    out.dx = in.x;
    cpu::with_best_isa([&](auto isa) {
      using Isa = decltype(isa);
      cpu::conv2d_forward_phases<float, Isa>(resnet, in.x.data(), {in.w.data(), kept}, {}, out.y.data());
      cpu::conv2d_backward_weights_phases<float, Isa>(resnet, in.x.data(), in.dy.data(), out.dw.data());
    });
    return out;
  };
  const auto one = run(1, nullptr);
  for (const int threads : {2, 3}) testing::check_same_bits(one, run(threads, nullptr), text(threads, " threads"));
  for (int call = 0; call < 2; ++call) testing::check_same_bits(one, run(1, &forms), "kept");
}

TEST_CASE("windows on squares of pixels: mean and variance of the result are gathered as it is written") {
  Rng rng(3);
  const auto in = testing::random_operands<float>(resnet, rng);
  Tensor<float> y(in.dy.shape());
  Tensor<double> mean({resnet.o}), variance({resnet.o});
  cpu::Moments<float> moments(resnet.o);
  cpu::with_best_isa([&](auto isa) {
    cpu::conv2d_forward_phases<float, decltype(isa)>(resnet, in.x.data(), in.w.data(), {.moments = &moments}, y.data());
  });
  Tensor<float> found_mean({resnet.o}), found_variance({resnet.o});
  moments.combine(found_mean.data(), found_variance.data());
  const Index rows = y.numel() / resnet.o;
  for (Index o = 0; o < resnet.o; ++o) {
    double sum = 0, squares = 0;
    for (Index i = 0; i < rows; ++i) sum += static_cast<double>(y.data()[i * resnet.o + o]);
    mean.data()[o] = sum / static_cast<double>(rows);
    for (Index i = 0; i < rows; ++i) {
      const double d = static_cast<double>(y.data()[i * resnet.o + o]) - mean.data()[o];
      squares += d * d;
    }
    variance.data()[o] = squares / static_cast<double>(rows);
  }
  CHECK(error_of(exactly(found_mean), mean) < 1e-5);
  CHECK(error_of(exactly(found_variance), variance) < 1e-5);
}
