// Winograd's convolution against the plain loops in double, on every instruction set: how large its error is.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ConvOperands;
using testing::ConvResults;
using testing::describe;
using testing::exactly;
using testing::random_operands;

namespace {

Conv2dGeometry geometry(Index n, Index h, Index w, Index c, Index o, Index pad_h, Index pad_w) {
  Conv2dGeometry g{.n = n, .h = h, .w = w, .c = c, .o = o, .kh = 3, .kw = 3};
  g.pad_h = pad_h;
  g.pad_w = pad_w;
  testing::set_output_size(g);
  return g;
}

Conv2dGeometry strided(Index n, Index h, Index w, Index c, Index o) {
  auto g = geometry(n, h, w, c, o, 1, 1);
  g.stride_h = g.stride_w = 2;
  testing::set_output_size(g);
  return g;
}

// Of windows taps×taps.
Conv2dGeometry random_geometry(Rng& rng, Index taps = 3) {
  const Index pad_h = rng.below(taps), pad_w = rng.below(taps);
  auto g = geometry(1 + rng.below(3), taps - std::min<Index>(2, pad_h) + rng.below(13),
                    taps - std::min<Index>(2, pad_w) + rng.below(13), 16 * (1 + rng.below(4)), 16 * (1 + rng.below(4)),
                    pad_h, pad_w);
  g.kh = g.kw = taps;
  testing::set_output_size(g);
  return g;
}

template <class F, class Isa>
ConvResults<float> winograd(const Conv2dGeometry& g, const ConvOperands<float>& in,
                            const cpu::Epilogue<float>& finish) {
  auto out = testing::poisoned_results(in);
  cpu::winograd_forward<float, Isa, F>(g, in.x.data(), in.w.data(), finish, out.y.data());
  cpu::winograd_backward_data<float, Isa, F>(g, in.dy.data(), in.w.data(), cpu::Epilogue<float>{},
                                             out.dx.data());
  cpu::winograd_backward_weights<float, Isa, F>(g, in.x.data(), in.dy.data(), out.dw.data());
  return out;
}

// Errors relative to the largest value of each result.
template <class F, class Isa>
void compare(const Conv2dGeometry& g, const ConvOperands<float>& in, double bound, const char* isa) {
  const auto exact = exactly(in);
  const auto found = winograd<F, Isa>(g, in, {.bias = in.bias.data()});
  testing::check_close(exactly(found), testing::plain_loops(g, exact, {.bias = exact.bias.data()}), bound,
                       isa, g);

  auto rectified = testing::poisoned<float>(in.dy.shape());
  cpu::winograd_forward<float, Isa, F>(g, in.x.data(), in.w.data(),
                                       cpu::Epilogue<float>{.bias = in.bias.data(), .relu = true},
                                       rectified.data());
  bool same = true;
  for (Index i = 0; i < rectified.numel(); ++i)
    same = same && rectified.data()[i] == std::max(0.0f, found.y.data()[i]);
  CHECK_MESSAGE(same, isa, " ReLU ", describe(g));
}

}  // namespace

TEST_CASE("Winograd: 100 random geometries within 2e-6 for F(2,3) and 2e-5 for F(4,3)") {
  Rng rng(1);
  for (int i = 0; i < testing::rounds(100); ++i) {
    const auto g = random_geometry(rng);
    const auto in = random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      compare<cpu::Winograd2, decltype(isa)>(g, in, 2e-6, name);
      compare<cpu::Winograd4, decltype(isa)>(g, in, 2e-5, name);
    });
  }
}

TEST_CASE("Winograd with windows of 4×4: 60 random geometries within 2e-5") {
  Rng rng(8);
  for (int i = 0; i < testing::rounds(60); ++i) {
    const auto g = random_geometry(rng, 4);
    const auto in = random_operands<float>(g, rng);
    testing::each_isa(
        [&](auto isa, const char* name) { compare<cpu::WinogradFourTaps, decltype(isa)>(g, in, 2e-5, name); });
  }
}

// The three transforms of an axis against sums: `taps` outputs apart by `stride`, where only `Count` steps are wanted.
template <class F, int Count>
void check_axis(Rng& rng) {
  const auto random = [&](auto& values) {
    for (double& v : values) v = rng.uniform(-1, 1);
  };
  std::array<double, F::taps> g;
  std::array<double, F::inputs> d;
  std::array<double, F::points> v{}, m{}, u{};
  std::array<double, F::filters> filter{};
  std::array<double, F::outputs> y{}, dy{};
  random(g), random(d), random(dy);
  F::filter(g.data(), filter.data());
  F::template input<Count>(d.data(), v.data());
  for (int p = 0; p < F::points; ++p) {
    const auto i = static_cast<std::size_t>(p);
    if (F::takes(Count, p)) m[i] = filter[static_cast<std::size_t>(F::filter_of(p))] * v[i];
  }
  F::template output<Count>(m.data(), y.data());
  double product = 0, expected = 0;
  for (std::size_t i = 0; i < Count * F::outputs / F::steps; ++i) {
    const auto at = static_cast<std::size_t>(F::input_of(static_cast<Index>(i)));
    double sum = 0;
    for (std::size_t k = 0; k < F::taps; ++k) sum += g[k] * d[at + k];
    CHECK_MESSAGE(std::abs(y[i] - sum) < 1e-6, "steps ", Count, " output ", i);  // the constants are floats
    expected += sum * dy[i];
  }
  // The gradient of the filter is adjoint to it: ⟨dy, y⟩ = ⟨dg, g⟩.
  F::template spread<Count>(dy.data(), u.data());
  std::array<double, F::filters> sums{};
  for (int p = 0; p < F::points; ++p) {
    const auto i = static_cast<std::size_t>(p);
    if (F::takes(Count, p)) sums[static_cast<std::size_t>(F::filter_of(p))] += u[i] * v[i];
  }
  std::array<double, F::taps> dg{};
  F::gather(sums.data(), dg.data());
  for (std::size_t i = 0; i < F::taps; ++i) product += dg[i] * g[i];
  CHECK_MESSAGE(std::abs(product - expected) < 1e-6, "steps ", Count);
}

TEST_CASE("Winograd's transforms along one axis, for each number of steps") {
  Rng rng(7);
  check_axis<cpu::Winograd2, 2>(rng);
  check_axis<cpu::WinogradFourTaps, 4>(rng);
  const auto each_count = [&]<class F>(F) {
    check_axis<F, 1>(rng);
    check_axis<F, 2>(rng);
    check_axis<F, 3>(rng);
    check_axis<F, 4>(rng);
    for (int p = 0; p < F::points; ++p) CHECK(F::takes(F::steps, p));
  };
  each_count(cpu::Winograd4{});
  each_count(cpu::WinogradStrided4{});
}

TEST_CASE("Winograd with stride 2: 60 random geometries within 1e-5") {
  Rng rng(5);
  for (int i = 0; i < testing::rounds(60); ++i) {
    const auto g = strided(1 + rng.below(3), 1 + rng.below(20), 1 + rng.below(20), 16 * (1 + rng.below(4)),
                           16 * (1 + rng.below(4)));
    const auto in = random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      compare<cpu::WinogradStrided4, decltype(isa)>(g, in, 1e-5, name);
    });
  }
}

TEST_CASE("Winograd: tiles that need fewer outputs take fewer products") {
  const auto products = []<class F>(F, Index side, bool divided) {
    const cpu::WinogradTiles<F> tiles(8, side, side, divided);
    return cpu::WinogradBlock<F, 8>(tiles, 0, tiles.units()).products() / 8;  // rows of a register tile
  };
  CHECK(products(cpu::Winograd4{}, 14, false) == 24 * 24);  // four tiles of six points
  CHECK(products(cpu::Winograd4{}, 14, true) == 22 * 22);   // three of them, and one of four points
  CHECK(products(cpu::Winograd4{}, 7, true) == 11 * 11);
  CHECK(products(cpu::WinogradStrided4{}, 14, true) == 32 * 32);  // three of nine, and one of five
  CHECK(products(cpu::WinogradStrided4{}, 7, true) == 16 * 16);
  CHECK(products(cpu::WinogradStrided4::Data{}, 28, true) == 32 * 32);
  CHECK(cpu::winograd_tiles<cpu::Winograd4, 8>(8, 14, 14, 128).units() == 8);  // pictures
  CHECK(cpu::winograd_tiles<cpu::Winograd4, 8>(1, 14, 14, 128).units() == 16);  // tiles: groups would be half empty
  CHECK(cpu::winograd_tiles<cpu::Winograd4, 8>(8, 30, 30, 48).units() == 8 * 8 * 8);  // pictures larger than a block

  Rng rng(6);
  for (const Index side : {3, 5, 6, 7, 9, 10, 11, 13, 14}) {  // with 17 pictures several blocks, the last one smaller
    const auto g = geometry(side % 7 ? 17 : 8, side, side == 14 ? 4 : 3 + side % 4, 16, 32, 1, 1);
    const auto fewer = cpu::winograd_tiles<cpu::Winograd4, 8>(g.n, g.oh, g.ow, 48);
    CHECK(fewer.units() == g.n);  // divided
    const auto in = random_operands<float>(g, rng);
    const auto s = strided(g.n, 2 * side - side % 2, 2 * g.w, 16, 32);
    const auto in_strided = random_operands<float>(s, rng);
    testing::each_isa([&](auto isa, const char* name) {
      compare<cpu::Winograd4, decltype(isa)>(g, in, 2e-5, name);
      compare<cpu::WinogradStrided4, decltype(isa)>(s, in_strided, 1e-5, name);
    });
  }
}

TEST_CASE("Winograd: groups hold every tile once, in register tiles no larger than they need") {
  const auto check = []<int Rows>(std::integral_constant<int, Rows>, Index few) {
    using Block = cpu::WinogradBlock<cpu::Winograd4, Rows>;
    CHECK(Block::few == few);
    for (Index n = 1; n < 40; ++n) {
      const cpu::WinogradTiles<cpu::Winograd4> tiles(n, 6, 4, true);  // a whole tile a picture, and one half as high
      const Block block(tiles, 0, n);
      std::vector<Index> whole, half;
      Index rows = 0;
      for (Index group = 0; group < block.groups(); ++group) {
        Index held = 0;
        block.each_tile(group, [&](const auto& place, Index i) {
          CHECK(i == held++);
          (block.kind_of(group).whole() ? whole : half).push_back(place.picture);
        });
        CHECK((0 < held && held <= block.rows_of(group)));
        CHECK((block.rows_of(group) == few || held > few));
        rows += block.kind_of(group).whole() ? block.rows_of(group) : 0;
      }
      REQUIRE((std::ssize(whole) == n && std::ssize(half) == n));
      for (Index i = 0; i < n; ++i) {
        CHECK(whole[static_cast<std::size_t>(i)] == i);
        CHECK(half[static_cast<std::size_t>(i)] == i);
      }
      CHECK(rows - n < std::max<Index>(few, Rows - few));
      CHECK(block.products() == rows * (6 * 6 + 6 * 4));
    }
  };
  check(std::integral_constant<int, 1>{}, 1);
  check(std::integral_constant<int, 6>{}, 4);
  check(std::integral_constant<int, 8>{}, 4);
  check(std::integral_constant<int, 16>{}, 8);
}

// Under sanitizers it would take minutes, and show no more than the random ones.
TEST_CASE("Winograd: layers of real networks, where more channels are summed" *
          doctest::skip(testing::sanitized)) {
  Rng rng(2);
  for (const auto& g : {geometry(4, 32, 32, 16, 16, 1, 1), geometry(1, 28, 28, 128, 128, 1, 1),
                        geometry(2, 7, 7, 256, 512, 1, 1)}) {
    const auto in = random_operands<float>(g, rng);
    cpu::with_best_isa([&](auto isa) {
      compare<cpu::Winograd2, decltype(isa)>(g, in, 2e-6, "best");
      compare<cpu::Winograd4, decltype(isa)>(g, in, 3e-5, "best");
    });
  }
  for (const auto& g : {strided(4, 32, 32, 16, 32), strided(1, 56, 56, 128, 128), strided(2, 14, 14, 512, 512)}) {
    const auto in = random_operands<float>(g, rng);
    cpu::with_best_isa([&](auto isa) { compare<cpu::WinogradStrided4, decltype(isa)>(g, in, 1e-5, "best"); });
  }
}

TEST_CASE("Winograd: a picture without pixels, only padding, has no tiles and is left to the product with patches") {
  CHECK(!cpu::winograd_fits<cpu::Winograd4>(geometry(16, 0, 32, 64, 64, 2, 2)));
  CHECK(cpu::winograd_tiles<cpu::Winograd4, 8>(16, 0, 32, 48).units() == 0);
}

TEST_CASE("Winograd: the same bits with one, two and three threads") {
  Rng rng(3);
  // many tiles and few, narrow and wider than a panel of columns
  for (const auto& g : {geometry(9, 17, 15, 16, 48, 1, 1), geometry(1, 9, 9, 64, 32, 1, 0),
                        geometry(1, 7, 7, 48, 80, 1, 1), geometry(40, 9, 9, 32, 80, 1, 1),
                        strided(9, 17, 15, 16, 48), strided(1, 9, 9, 64, 32), strided(40, 17, 17, 32, 80)}) {
    const auto in = random_operands<float>(g, rng);
    const auto run = [&](int threads) {
      const testing::ThreadScope scope(threads);
      ConvResults<float> out;
      cpu::with_best_isa([&](auto isa) {
        if (g.stride_h == 2)
          out = winograd<cpu::WinogradStrided4, decltype(isa)>(g, in, {});
        else
          out = winograd<cpu::Winograd4, decltype(isa)>(g, in, {});
      });
      return out;
    };
    const auto one = run(1);
    for (const int threads : {2, 3})
      testing::check_same_bits(one, run(threads), text(threads, " threads, ", describe(g)));
  }
}

TEST_CASE("Winograd: a NaN in the picture reaches every output that it touches") {
  const auto g = geometry(1, 8, 8, 16, 16, 1, 1);
  Rng rng(4);
  auto in = random_operands<float>(g, rng);
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
  using cpu::ConvDirection;
  using cpu::ConvMethod;
  CHECK(cpu::conv_costs(geometry(8, 56, 56, 64, 64, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(8, 7, 7, 512, 512, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(1, 14, 14, 256, 256, 1, 1)).best() == ConvMethod::winograd4);
  CHECK(cpu::conv_costs(geometry(1, 7, 7, 512, 512, 1, 1)).best() == ConvMethod::winograd2);
  CHECK(cpu::conv_costs(strided(8, 56, 56, 128, 128)).best() == ConvMethod::winograd_strided);
  CHECK(cpu::conv_costs(strided(128, 32, 32, 16, 32)).best() == ConvMethod::gemm);
  CHECK(cpu::conv_costs(strided(128, 32, 32, 16, 32), ConvDirection::data).best() == ConvMethod::winograd_strided);
  CHECK(cpu::conv_costs(strided(128, 32, 32, 16, 32), ConvDirection::weights).best() == ConvMethod::winograd_strided);
  CHECK(cpu::conv_costs(strided(128, 16, 16, 32, 64)).best() == ConvMethod::winograd_strided);
  CHECK(cpu::conv_costs(strided(1, 14, 14, 512, 512)).best() == ConvMethod::gemm);
  CHECK(cpu::conv_costs(geometry(1, 3, 3, 512, 512, 1, 1)).best() == ConvMethod::gemm);
  CHECK(cpu::conv_costs(geometry(8, 56, 56, 24, 64, 1, 1)).best() ==
        ConvMethod::gemm);  // 24 channels do not fit
}
