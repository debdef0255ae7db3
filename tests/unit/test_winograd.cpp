// Winograd's convolution against the plain loops in double, on every instruction set: how large its error is.
#include "close.hpp"
#include "each_isa.hpp"
#include "tenon/backend/cpu/conv.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;

namespace {

Conv2dGeometry geometry(Index n, Index h, Index w, Index c, Index o, Index pad_h, Index pad_w) {
  Conv2dGeometry g{.n = n, .h = h, .w = w, .c = c, .o = o, .kh = 3, .kw = 3};
  g.pad_h = pad_h;
  g.pad_w = pad_w;
  g.oh = conv_extent(h, 3, 1, pad_h, 1);
  g.ow = conv_extent(w, 3, 1, pad_w, 1);
  return g;
}

Conv2dGeometry random_geometry(Rng& rng) {
  const Index pad_h = rng.below(3), pad_w = rng.below(3);
  return geometry(1 + rng.below(3), 3 - std::min<Index>(2, pad_h) + rng.below(13),
                  3 - std::min<Index>(2, pad_w) + rng.below(13), 16 * (1 + rng.below(4)),
                  16 * (1 + rng.below(4)), pad_h, pad_w);
}

std::string describe(const Conv2dGeometry& g) {
  return text("x (", g.n, ",", g.h, ",", g.w, ",", g.c, ") outputs ", g.o, " padding ", g.pad_h, ",",
              g.pad_w);
}

struct Operands {
  Tensor<float> x, w, dy, bias;

  Operands(const Conv2dGeometry& g, Rng& rng)
      : x(Tensor<float>::uniform({g.n, g.h, g.w, g.c}, rng, -1, 1)),
        w(Tensor<float>::uniform({g.o, 3, 3, g.c}, rng, -1, 1)),
        dy(Tensor<float>::uniform({g.n, g.oh, g.ow, g.o}, rng, -1, 1)),
        bias(Tensor<float>::uniform({g.o}, rng, -1, 1)) {}
};

Tensor<double> exactly(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  std::copy_n(x.data(), x.numel(), y.data());
  return y;
}

// Errors relative to the largest value of each result.
template <class F, class Isa>
void compare(const Conv2dGeometry& g, const Operands& in, double bound, const char* isa) {
  const auto x = exactly(in.x), w = exactly(in.w), dy = exactly(in.dy), bias = exactly(in.bias);
  Tensor<double> y(dy.shape()), dx(x.shape()), dw(w.shape());
  cpu::conv2d_forward_reference(g, x.data(), w.data(), bias.data(), y.data());
  cpu::conv2d_backward_data_reference(g, dy.data(), w.data(), dx.data());
  cpu::conv2d_backward_weights_reference(g, x.data(), dy.data(), dw.data());
  const auto poisoned = [](const Shape& s) {
    return Tensor<float>::full(s, std::numeric_limits<float>::quiet_NaN());
  };
  auto found_y = poisoned(dy.shape()), found_dx = poisoned(x.shape()), found_dw = poisoned(w.shape());
  cpu::winograd_forward<float, Isa, F>(g, in.x.data(), in.w.data(), cpu::Epilogue<float>{in.bias.data()},
                                       found_y.data());
  cpu::winograd_backward_data<float, Isa, F>(g, in.dy.data(), in.w.data(), found_dx.data());
  cpu::winograd_backward_weights<float, Isa, F>(g, in.x.data(), in.dy.data(), found_dw.data());
  CHECK_MESSAGE(error_of(exactly(found_y), y) <= bound, isa, " forward ", describe(g));
  CHECK_MESSAGE(error_of(exactly(found_dx), dx) <= bound, isa, " backward data ", describe(g));
  CHECK_MESSAGE(error_of(exactly(found_dw), dw) <= bound, isa, " backward weights ", describe(g));

  auto rectified = poisoned(dy.shape());
  cpu::winograd_forward<float, Isa, F>(g, in.x.data(), in.w.data(),
                                       cpu::Epilogue<float>{.bias = in.bias.data(), .relu = true},
                                       rectified.data());
  bool same = true;
  for (Index i = 0; i < y.numel(); ++i)
    same = same && rectified.data()[i] == std::max(0.0f, found_y.data()[i]);
  CHECK_MESSAGE(same, isa, " ReLU ", describe(g));
}

}  // namespace

TEST_CASE("Winograd: 100 random geometries within 2e-6 for F(2,3) and 2e-5 for F(4,3)") {
  Rng rng(1);
  for (int i = 0; i < 100; ++i) {
    const auto g = random_geometry(rng);
    const Operands in(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      compare<cpu::Winograd2, decltype(isa)>(g, in, 2e-6, name);
      compare<cpu::Winograd4, decltype(isa)>(g, in, 2e-5, name);
    });
  }
}

TEST_CASE("Winograd: layers of real networks, where more channels are summed") {
  Rng rng(2);
  for (const auto& g : {geometry(4, 32, 32, 16, 16, 1, 1), geometry(1, 28, 28, 128, 128, 1, 1),
                        geometry(2, 7, 7, 256, 512, 1, 1)}) {
    const Operands in(g, rng);
    cpu::with_best_isa([&](auto isa) {
      compare<cpu::Winograd2, decltype(isa)>(g, in, 2e-6, "best");
      compare<cpu::Winograd4, decltype(isa)>(g, in, 3e-5, "best");
    });
  }
}

TEST_CASE("Winograd: the same bits with one, two and three threads") {
  Rng rng(3);
  // many tiles and few, narrow and wider than a panel of columns
  for (const auto& g : {geometry(9, 17, 15, 16, 48, 1, 1), geometry(1, 9, 9, 64, 32, 1, 0),
                        geometry(1, 7, 7, 48, 80, 1, 1), geometry(40, 9, 9, 32, 80, 1, 1)}) {
    const Operands in(g, rng);
    struct Results {
      Tensor<float> y, dx, dw;
    };
    const auto run = [&](int threads) {
      const testing::ThreadScope scope(threads);
      Results r{Tensor<float>(in.dy.shape()), Tensor<float>(in.x.shape()), Tensor<float>(in.w.shape())};
      cpu::with_best_isa([&](auto isa) {
        using Isa = decltype(isa);
        cpu::winograd_forward<float, Isa, cpu::Winograd4>(g, in.x.data(), in.w.data(), cpu::Epilogue<float>{},
                                                          r.y.data());
        cpu::winograd_backward_data<float, Isa, cpu::Winograd4>(g, in.dy.data(), in.w.data(), r.dx.data());
        cpu::winograd_backward_weights<float, Isa, cpu::Winograd4>(g, in.x.data(), in.dy.data(), r.dw.data());
      });
      return r;
    };
    const Results one = run(1);
    for (const int threads : {2, 3}) {
      const Results more = run(threads);
      CHECK(testing::same_bits(one.y, more.y));
      CHECK(testing::same_bits(one.dx, more.dx));
      CHECK(testing::same_bits(one.dw, more.dw));
    }
  }
}

TEST_CASE("Winograd: a NaN in the picture reaches every output that it touches") {
  const auto g = geometry(1, 8, 8, 16, 16, 1, 1);
  Rng rng(4);
  Operands in(g, rng);
  in.x.at({0, 5, 5, 3}) = std::numeric_limits<float>::quiet_NaN();
  Tensor<float> y(in.dy.shape());
  cpu::with_best_isa([&](auto isa) {
    cpu::winograd_forward<float, decltype(isa), cpu::Winograd4>(g, in.x.data(), in.w.data(),
                                                                cpu::Epilogue<float>{.relu = true}, y.data());
  });
  for (Index dy = 4; dy <= 6; ++dy) {
    for (Index dx = 4; dx <= 6; ++dx) CHECK(std::isnan(y.at({0, dy, dx, 7})));
  }
}

TEST_CASE("convolution: the model of costs picks what suits the shape") {
  using cpu::ConvMethod;
  CHECK(cpu::conv_costs(geometry(8, 56, 56, 64, 64, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(8, 7, 7, 512, 512, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(1, 14, 14, 256, 256, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(1, 7, 7, 512, 512, 1, 1)).best() == ConvMethod::gemm);
  CHECK(cpu::conv_costs(geometry(8, 56, 56, 24, 64, 1, 1)).best() ==
        ConvMethod::gemm);  // 24 channels do not fit
}
