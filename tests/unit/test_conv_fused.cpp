// Convolution with a residual and a rectifier in the same pass, against the three operations one after the
// other: every algorithm, the gradients, and the layers that models put together.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "tenon/nn/nn.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ConvOperands;
using testing::error_of;
using testing::error_text;
using testing::random_operands;
using testing::same_bits;

namespace {

Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    Conv2dGeometry g;
    g.groups = rng.below(3) == 0 ? 2 : 1;
    g.n = rng.below(4) == 0 ? 16 + rng.below(5) : 1 + rng.below(3);
    g.c = g.groups * (1 + rng.below(20));
    g.o = g.groups * (1 + rng.below(40));
    g.h = 1 + rng.below(10);
    g.w = 1 + rng.below(10);
    g.kh = g.kw = 1 + rng.below(3);
    g.stride_h = g.stride_w = 1 + rng.below(2);
    g.pad_h = g.pad_w = rng.below(g.kh);
    if (testing::set_output_size(g)) return g;
  }
}

Conv2dGeometry winograd_geometry(Rng& rng) {
  const Index n = rng.below(3) == 0 ? 8 + rng.below(9) : 1 + rng.below(3);  // many have tiles of all kinds
  Conv2dGeometry g{.n = n, .h = 3 + rng.below(9), .w = 3 + rng.below(9)};
  g.c = 16 * (1 + rng.below(3));
  g.o = 16 * (1 + rng.below(4));
  g.kh = g.kw = 3;
  g.stride_h = g.stride_w = 1 + rng.below(2);
  g.pad_h = g.pad_w = g.stride_h == 2 ? 1 : rng.below(3);
  testing::set_output_size(g);
  return g;
}

// Calls use(F{}) with every transform of Winograd's that suits the geometry.
template <class Use>
void each_winograd(const Conv2dGeometry& g, const Use& use) {
  const auto fits = [&]<class F>(F transform) {
    if (cpu::winograd_fits<F>(g)) use(transform);
  };
  fits(cpu::Winograd2{});
  fits(cpu::Winograd4{});
  fits(cpu::WinogradStrided4{});
}

// forward(finish, y) must give the same bits with the epilogue as without it and the rest done afterwards; dy
// is what is added.
template <class T, class Forward>
void check_epilogues(const Conv2dGeometry& g, const ConvOperands<T>& in, const char* what,
                     const Forward& forward) {
  for (int parts = 0; parts < 8; ++parts) {
    auto plain = testing::poisoned<T>(in.dy.shape()), fused = testing::poisoned<T>(in.dy.shape());
    cpu::Epilogue<T> finish;
    if (parts & 1) finish.bias = in.bias.data();
    forward(finish, plain.data());
    if (parts & 2) plain = plain + in.dy;
    if (parts & 4) plain = relu(plain);
    if (parts & 2) finish.residual = in.dy.data();
    finish.relu = parts & 4;
    forward(finish, fused.data());
    CHECK_MESSAGE(same_bits(fused, plain), what, " parts ", parts, " ", testing::describe(g));
  }
}

template <class T>
struct Results {
  Tensor<T> y, dx, dw, db, dr;
};

// The result and the gradients of forward(x, w, b, residual) from the cotangent dy. Gradients start non-zero.
template <class T, class Forward>
Results<T> results(const ConvOperands<T>& in, const Tensor<T>& residual, const Forward& forward) {
  const Var<T> x(in.x, {.requires_grad = true}), w(in.w, {.requires_grad = true}),
      b(in.bias, {.requires_grad = true}), r(residual, {.requires_grad = true});
  for (const auto* v : {&x, &w, &b, &r}) v->accumulate(Tensor<T>::ones(v->shape()));
  const Var<T> y = forward(x, w, b, r);
  y.backward(in.dy.clone());
  return {y.value(), x.grad(), w.grad(), b.grad(), r.grad()};
}

}  // namespace

TEST_CASE("fused convolution: every algorithm adds and rectifies what it would give alone") {
  Rng rng(1);
  // Enough channels for several blocks of terms, of which the last one finishes.
  const Conv2dGeometry deep{
      .n = 2, .h = 6, .w = 7, .c = 64, .o = 70, .kh = 3, .kw = 3, .oh = 6, .ow = 7, .pad_h = 1, .pad_w = 1};
  for (int i = 0; i <= 60; ++i) {
    const auto g = i == 60 ? deep : random_geometry(rng);
    const auto in = random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      using Isa = decltype(isa);
      check_epilogues(g, in, name, [&](const auto& finish, float* y) {
        cpu::conv2d_forward_gemm<float, Isa>(g, in.x.data(), in.w.data(), finish, y);
      });
      if (!cpu::conv_lanes_fits(g)) return;
      check_epilogues(g, in, name, [&](const auto& finish, float* y) {
        cpu::conv2d_forward_lanes<float, Isa>(g, in.x.data(), in.w.data(), finish, y);
      });
    });
    const auto in_double = random_operands<double>(g, rng);
    check_epilogues(g, in_double, "double", [&](const auto& finish, double* y) {
      cpu::conv2d_forward(g, in_double.x.data(), in_double.w.data(), finish, y);
    });
  }
}

TEST_CASE("fused convolution: Winograd's output transform adds and rectifies") {
  Rng rng(2);
  for (int i = 0; i < testing::rounds(40); ++i) {
    const auto g = winograd_geometry(rng);
    const auto in = random_operands<float>(g, rng);
    testing::each_isa([&](auto isa, const char* name) {
      using Isa = decltype(isa);
      each_winograd(g, [&]<class F>(F) {
        check_epilogues(g, in, name, [&](const auto& finish, float* y) {
          cpu::winograd_forward<float, Isa, F>(g, in.x.data(), in.w.data(), finish, y);
        });
      });
    });
  }
}

TEST_CASE("fused convolution: a NaN in the residual stays, in every algorithm") {
  Rng rng(3);
  // implicit GEMM, pictures in lanes, Winograd
  for (const auto& [n, c, o] : {std::array<Index, 3>{1, 5, 7}, {16, 3, 6}, {2, 32, 32}}) {
    const Var<float> x(Tensor<float>::uniform({n, 12, 12, c}, rng, -1, 1)),
        w(Tensor<float>::uniform({o, 3, 3, c}, rng, -1, 1));
    auto residual = Tensor<float>::zeros({n, 12, 12, o});
    residual.at({0, 5, 6, 2}) = std::numeric_limits<float>::quiet_NaN();
    const auto y =
        conv2d(x, w, Var<float>(), {.padding = 1}, {.residual = Var<float>(residual), .relu = true});
    CHECK(std::isnan(y.value().at({0, 5, 6, 2})));
    CHECK_FALSE(std::isnan(y.value().at({0, 5, 6, 3})));
  }
}

TEST_CASE("fused convolution: result and gradients are those of the three operations") {
  Rng rng(4);
  double largest = 0;
  for (int i = 0; i < testing::rounds(40); ++i) {
    const auto g = random_geometry(rng);
    const auto in = random_operands<double>(g, rng);
    const auto residual = Tensor<double>::uniform(in.dy.shape(), rng, -1, 1);
    const Conv2dParameters p{.stride = g.stride_h, .padding = g.pad_h, .groups = g.groups};
    for (const bool add : {false, true}) {
      for (const bool rectify : {false, true}) {
        using V = Var<double>;
        const auto fused = results(in, residual, [&](const V& xv, const V& wv, const V& bv, const V& rv) {
          return conv2d(xv, wv, bv, p, {.residual = add ? rv : V(), .relu = rectify});
        });
        const auto apart = results(in, residual, [&](const V& xv, const V& wv, const V& bv, const V& rv) {
          auto y = conv2d(xv, wv, bv, p);
          if (add) y = y + rv;
          return rectify ? relu(y) : y;
        });
        CHECK(same_bits(fused.y, apart.y));
        CHECK(same_bits(fused.dx, apart.dx));
        CHECK(same_bits(fused.dw, apart.dw));
        CHECK(same_bits(fused.db, apart.db));
        CHECK(same_bits(fused.dr, apart.dr));
        for (const double v : fused.dr.span()) largest = std::max(largest, std::abs(v - 1));
      }
    }
  }
  CHECK(largest > 0);
}

TEST_CASE(
    "fused convolution: x may be its own residual, and the cotangent is left alone where others hold it") {
  Rng rng(5);
  const auto x0 = Tensor<double>::uniform({2, 5, 4, 3}, rng, -1, 1),
             w0 = Tensor<double>::uniform({3, 3, 3, 3}, rng, -1, 1);
  const auto run = [&](const auto& forward) {
    const Var<double> x(x0, {.requires_grad = true}), w(w0, {.requires_grad = true});
    const auto start = Tensor<double>::ones(x0.shape());
    forward(x, w).backward(start);  // `start` is held here too
    CHECK(same_bits(start, Tensor<double>::ones(x0.shape())));
    return std::pair(x.grad(), w.grad());
  };
  using V = Var<double>;
  const auto fused = run([](const V& x, const V& w) {
    return conv2d(x, w, V(), {.padding = 1}, {.residual = x, .relu = true});
  });
  const auto apart = run([](const V& x, const V& w) { return relu(conv2d(x, w, V(), {.padding = 1}) + x); });
  CHECK(error_of(fused.first, apart.first) <= 1e-14);
  CHECK(error_of(fused.second, apart.second) <= 1e-14);
}

// The statistics that a convolution gathers against those of its result in double, for the shapes of all methods.
TEST_CASE("fused convolution: the statistics are those of the result, and do not depend on the thread count") {
  Rng rng(12);
  struct Layer {
    Index n, side, in, out, kernel, stride;
    double offset;  // of the bias: a mean far from 0 must lose no digits
  };
  for (const Layer& l : {Layer{2, 30, 16, 48, 3, 1, 0}, Layer{3, 29, 64, 64, 3, 1, 500}, Layer{1, 5, 32, 16, 3, 1, 0},
                         Layer{3, 30, 24, 70, 1, 1, -300}, Layer{2, 40, 600, 40, 1, 1, 0},
                         Layer{2, 57, 70, 130, 3, 2, 40}, Layer{5, 20, 3, 8, 3, 1, 3}, Layer{1, 64, 30, 3, 1, 1, 9},
                         Layer{2, 7, 8, 8, 1, 1, 0}, Layer{2, 50, 128, 20, 1, 2, 7}, Layer{19, 14, 128, 64, 3, 1, 5},
                         Layer{16, 14, 64, 64, 3, 2, 5}, Layer{2, 57, 64, 32, 3, 2, 40}}) {
    const Var<float> x(Tensor<float>::normal({l.n, l.side, l.side, l.in}, rng));
    const Var<float> w(Tensor<float>::normal({l.out, l.kernel, l.kernel, l.in}, rng) * 0.05);
    const Var<float> b(Tensor<float>::normal({l.out}, rng) + static_cast<float>(l.offset));
    const auto run = [&](BatchStatistics<float, Cpu>* statistics) {
      return conv2d(x, w, b, {.stride = l.stride, .padding = l.kernel / 2}, {.statistics = statistics}).value();
    };
    BatchStatistics<float, Cpu> found, again;
    const auto y = run(&found);
    const std::string name = text(l.n, "x", l.side, "x", l.in, " to ", l.out, " k", l.kernel, "s", l.stride);
    CHECK_MESSAGE(same_bits(y, run(nullptr)), name);
    const Index rows = y.numel() / l.out;
    for (Index c = 0; c < l.out; ++c) {
      double mean = 0, variance = 0;
      for (Index i = 0; i < rows; ++i) mean += static_cast<double>(y.data()[i * l.out + c]);
      mean /= static_cast<double>(rows);
      for (Index i = 0; i < rows; ++i) {
        const double d = static_cast<double>(y.data()[i * l.out + c]) - mean;
        variance += d * d;
      }
      variance /= static_cast<double>(rows);
      CHECK_MESSAGE(std::abs(static_cast<double>(found.mean.data()[c]) - mean) <= 1e-6 * (1 + std::abs(mean)), name);
      CHECK_MESSAGE(std::abs(static_cast<double>(found.variance.data()[c]) - variance) <= 1e-5 * variance, name);
    }
    const int threads = thread_count();
    set_thread_count(threads == 1 ? 3 : 1);
    run(&again);
    set_thread_count(threads);
    CHECK_MESSAGE(same_bits(found.mean, again.mean), name);
    CHECK_MESSAGE(same_bits(found.variance, again.variance), name);
  }
}

TEST_CASE("fused convolution: a residual that is handed over becomes the result; one that is not stays as it is") {
  Rng rng(15);
  for (int i = 0; i < testing::rounds(60); ++i) {
    auto g = i % 3 ? random_geometry(rng) : winograd_geometry(rng);
    if (i % 3 == 2) {  // a plain product, also of more terms than one block has
      g.kh = g.kw = g.stride_h = g.stride_w = 1, g.pad_h = g.pad_w = 0, g.groups = 1;
      g.c = 1 + rng.below(700), g.oh = g.h, g.ow = g.w;
    }
    const auto in = random_operands<float>(g, rng);
    const Var<float> x(in.x), w(in.w), b(in.bias);
    const auto residual = Tensor<float>::normal(in.dy.shape(), rng);
    const Conv2dParameters p{.stride = {g.stride_h, g.stride_w}, .padding = {g.pad_h, g.pad_w},
                             .dilation = {g.dilation_h, g.dilation_w}, .groups = g.groups};
    const std::string name = testing::describe(g);

    const Var<float> kept(residual.clone());
    const auto expected = conv2d(x, w, b, p, {.residual = kept, .relu = true}).value();
    CHECK_MESSAGE(same_bits(kept.value(), residual), name);

    Var<float> given(residual.clone());
    const float* place = std::as_const(given.value()).data();
    const auto y = conv2d(x, w, b, p, {.residual = std::move(given), .relu = true}).value();
    CHECK_MESSAGE(y.data() == place, name);
    CHECK_MESSAGE(error_of(y, expected) <= 1e-5, name);

    // Not where a gradient will want it, nor where somebody holds the tensor.
    const Var<float> weight(in.w, {.requires_grad = true});
    Var<float> recorded(residual.clone());
    const float* before = std::as_const(recorded.value()).data();
    CHECK_MESSAGE(conv2d(x, weight, b, p, {.residual = std::move(recorded)}).value().data() != before, name);
    const auto held = residual.clone();
    conv2d(x, w, b, p, {.residual = Var<float>(held), .relu = true});
    CHECK_MESSAGE(same_bits(held, residual), name);
  }
}

TEST_CASE("fused convolution: a NaN in the result is one in the statistics") {
  Rng rng(13);
  for (const Index kernel : {1, 3}) {
    auto pixels = Tensor<float>::normal({2, 32, 32, 16}, rng);
    pixels.data()[5] = std::numeric_limits<float>::quiet_NaN();
    BatchStatistics<float, Cpu> found;
    conv2d(Var<float>(pixels), Var<float>(Tensor<float>::normal({32, kernel, kernel, 16}, rng)), Var<float>(),
           {.padding = kernel / 2}, {.statistics = &found});
    CHECK(std::isnan(found.mean.data()[0]));
    CHECK(std::isnan(found.variance.data()[31]));
  }
}

TEST_CASE("fused layers: in training, convolution and normalisation give what they give one after the other") {
  Rng rng(14);
  nn::Conv2d<double> conv({.in = 16, .out = 32, .kernel = 1, .bias = false}, rng);
  nn::BatchNorm2d<double> one({.channels = 32}), other({.channels = 32});
  const nn::ReLU rectifier;
  const Var<double> x(Tensor<double>::normal({2, 30, 30, 16}, rng), {.requires_grad = true});
  const auto start = Tensor<double>::normal({2, 30, 30, 32}, rng);
  nn::conv_norm_relu(conv, one, rectifier, x).backward(start.clone());
  const auto dx = x.grad().clone(), dw = conv.weight.grad().clone();
  Var<double>(x).zero_grad(), conv.weight.zero_grad();
  rectifier(other(conv(x))).backward(start.clone());
  CHECK(error_of(dx, x.grad()) <= 1e-12);
  CHECK(error_of(dw, conv.weight.grad()) <= 1e-11);
  CHECK(error_of(one.running_mean, other.running_mean) <= 1e-13);
  CHECK(error_of(one.running_var, other.running_var) <= 1e-13);
  CHECK(error_of(one.weight.grad(), other.weight.grad()) <= 1e-11);
}

TEST_CASE("fused convolution: a residual of another shape is refused") {
  const Var<float> x(Tensor<float>::zeros({1, 4, 4, 2})), w(Tensor<float>::zeros({3, 1, 1, 2}));
  CHECK(error_text<ShapeError>([&] { conv2d(x, w, Var<float>(), {}, {.residual = x}); }) ==
        "conv2d: residual (1,4,4,2) for a result (1,4,4,3)");
}

TEST_CASE(
    "fused layers: folded they give the bits of the layers one after the other, and summary sees them all") {
  Rng rng(6);
  nn::Conv2d<float> conv({.in = 16, .out = 16, .kernel = 3, .padding = 1}, rng);
  nn::BatchNorm2d<float> norm({.channels = 16});
  norm.folded = true;
  const nn::ReLU rectifier;
  const NoGrad no_grad;
  const Var<float> x(Tensor<float>::normal({2, 9, 8, 16}, rng));
  CHECK(same_bits(nn::conv_norm_relu(conv, norm, rectifier, x).value(), rectifier(norm(conv(x))).value()));
  const auto fused = [&] {
    return nn::conv_norm_add_relu(conv, norm, rectifier, x, [&] { return conv(x); });
  };
  const auto apart = [&] {
    const auto y = norm(conv(x));
    return rectifier(y + conv(x));
  };
  CHECK(error_of(fused().value(), apart().value()) <= 1e-6);  // in place, the shortcut is added before the bias

  const auto seen = [](const auto& forward) {
    std::vector<nn::Observation> all;
    const nn::ObserverScope scope(all);
    forward();
    std::string names;
    for (const auto& o : all) names += text(o.kind, o.output, " ");
    return names;
  };
  CHECK(seen(fused) == seen(apart));
}

TEST_CASE("convolution: kept weights give the same bits, for every extent that meets them") {
  Rng rng(4);
  for (int i = 0; i < testing::rounds(40); ++i) {
    auto g = i % 2 ? winograd_geometry(rng) : random_geometry(rng);
    Derived forms;
    auto in = random_operands<float>(g, rng);
    const auto weights = in.w.clone();
    for (const Index more : {0, 0, 3, 17}) {  // other extents may take another algorithm, with other forms
      g.h += more, g.w += more;
      g.oh = conv_extent(g.h, g.kh, g.stride_h, g.pad_h, g.dilation_h);
      g.ow = conv_extent(g.w, g.kw, g.stride_w, g.pad_w, g.dilation_w);
      in = random_operands<float>(g, rng);
      Tensor<float> kept({g.n, g.oh, g.ow, g.o}), plain(kept.shape());
      cpu::conv2d_forward(g, in.x.data(), {weights.data(), &forms}, cpu::Epilogue<float>{}, kept.data());
      cpu::conv2d_forward(g, in.x.data(), weights.data(), cpu::Epilogue<float>{}, plain.data());
      const auto method = cpu::conv_costs(g, cpu::ConvDirection::forward, true).best();
      if (method == cpu::conv_costs(g).best())
        CHECK_MESSAGE(testing::same_bits(kept, plain), cpu::name(method), " ", i, " ", more);
      else
        CHECK_MESSAGE(error_of(kept, plain) <= 1e-5, cpu::name(method), " ", i, " ", more);
    }
  }
}

TEST_CASE("convolution: kept weights give the same bits on every instruction set") {
  Rng rng(6);
  const auto check = [](const auto& in, const Shape& shape, const char* name, const auto& run) {
    Derived forms;
    const float* w = in.w.data();
    for (int call = 0; call < 2; ++call) {  // the first one makes the forms
      Tensor<float> kept(shape), plain(shape);
      run(cpu::ConvWeights<float>(w, &forms), kept.data());
      run(cpu::ConvWeights<float>(w), plain.data());
      CHECK_MESSAGE(testing::same_bits(kept, plain), name, " call ", call);
    }
  };
  for (int i = 0; i < testing::rounds(20); ++i) {
    auto g = i % 2 ? winograd_geometry(rng) : random_geometry(rng);
    if (i % 4 == 0)  // several blocks of terms, and columns that do not fill a panel
      g = {.n = 2, .h = 6, .w = 7, .c = 60 + i, .o = 70 * (1 + i / 4), .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};
    REQUIRE(testing::set_output_size(g));
    const auto in = random_operands<float>(g, rng);
    const cpu::Epilogue<float> finish{.bias = in.bias.data(), .relu = true};
    testing::each_isa([&](auto isa, const char* name) {
      using Isa = decltype(isa);
      check(in, in.dy.shape(), name, [&](auto w, float* y) {
        cpu::conv2d_forward_gemm<float, Isa>(g, in.x.data(), w, finish, y);
      });
      each_winograd(g, [&]<class F>(F) {
        check(in, in.dy.shape(), name, [&](auto w, float* y) {
          cpu::winograd_forward<float, Isa, F>(g, in.x.data(), w, finish, y);
        });
      });
    });
  }
}

TEST_CASE("convolution: the gradient of the data is added to what other users of x have added, to the bit") {
  Rng rng(5);
  for (int i = 0; i < testing::rounds(60); ++i) {
    auto g = i % 3 ? random_geometry(rng) : winograd_geometry(rng);
    if (i % 3 == 2) {  // a plain product
      g.kh = g.kw = g.stride_h = g.stride_w = 1, g.pad_h = g.pad_w = 0, g.groups = 1;
      g.oh = g.h, g.ow = g.w;
    }
    const auto in = random_operands<float>(g, rng);
    const auto more = Tensor<float>::uniform(in.x.shape(), rng, -1, 1);
    Tensor<float> alone(in.x.shape()), both = more.clone();
    cpu::conv2d_backward_data(g, in.dy.data(), in.w.data(), false, alone.data());
    cpu::conv2d_backward_data(g, in.dy.data(), in.w.data(), true, both.data());
    CHECK_MESSAGE(testing::same_bits(both, alone + more), testing::describe(g));

    const Var<float> x(in.x, {.requires_grad = true}), w(in.w);
    auto start = more.clone();
    if (i % 2 == 0) {  // also where somebody holds the gradient so far, who must not see it change
      x.accumulate(start);
    } else {
      x.accumulate(std::move(start));
    }
    conv2d(x, w, {}, {.stride = {g.stride_h, g.stride_w}, .padding = {g.pad_h, g.pad_w},
                      .dilation = {g.dilation_h, g.dilation_w}, .groups = g.groups}).backward(in.dy.clone());
    CHECK_MESSAGE(testing::same_bits(x.grad(), both), testing::describe(g));
    if (start.defined()) CHECK(testing::same_bits(start, more));
  }
}
