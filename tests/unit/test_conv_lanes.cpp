// Convolution with pictures in the lanes, alone and fused with ReLU and pooling, against the plain loops and
// against the three operations one after the other.
#include "conv_cases.hpp"
#include "each_isa.hpp"
#include "sanitized.hpp"
#include "tenon/autograd/conv_pool.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::describe;
using testing::error_of;

namespace {

Conv2dGeometry random_geometry(Rng& rng) {
  for (;;) {
    Conv2dGeometry g{.n = 16 + rng.below(20),
                     .h = 1 + rng.below(12),
                     .w = 1 + rng.below(12),
                     .c = 1 + rng.below(8),
                     .o = 1 + rng.below(16),
                     .kh = 1 + rng.below(5),
                     .kw = 1 + rng.below(7)};
    g.stride_h = 1 + rng.below(2);
    g.stride_w = 1 + rng.below(2);
    g.pad_h = rng.below(g.kh);
    g.pad_w = rng.below(g.kw);
    if (testing::set_output_size(g) && cpu::conv_lanes_fits(g)) return g;
  }
}

// The gradient of x is for strides of 1 alone.
template <class T, class Isa>
void compare(const Conv2dGeometry& g, Rng& rng, double tolerance, const char* isa) {
  const auto in = testing::random_operands<T>(g, rng);
  const cpu::Epilogue<T> finish{.bias = in.bias.data()};
  const auto expected = testing::plain_loops(g, in, finish);
  auto found = testing::poisoned_results(in);
  cpu::conv2d_forward_lanes<T, Isa>(g, in.x.data(), in.w.data(), finish, found.y.data());
  CHECK_MESSAGE(error_of(found.y, expected.y) <= tolerance, isa, " forward ", describe(g));
  if (g.stride_h == 1 && g.stride_w == 1) {
    cpu::conv2d_backward_data_lanes<T, Isa>(g, in.dy.data(), in.w.data(), found.dx.data());
    CHECK_MESSAGE(error_of(found.dx, expected.dx) <= tolerance, isa, " backward data ", describe(g));
  }
  cpu::conv2d_backward_weights_lanes<T, Isa>(g, in.x.data(), in.dy.data(), found.dw.data());
  CHECK_MESSAGE(error_of(found.dw, expected.dw) <= tolerance, isa, " backward weights ", describe(g));
}

// A convolution with ReLU and pooling, its result and gradients; that of x only if asked for.
template <class T>
struct Layer {
  Var<T> x, w, b;
  Tensor<T> y;

  template <class Forward>
  Layer(const Tensor<T>& picture, const Tensor<T>& weight, const Tensor<T>& bias, const Tensor<T>& dy,
        const Forward& forward, bool of_x = true)
      : x(picture.clone(), {.requires_grad = of_x}), w(weight.clone(), {.requires_grad = true}) {
    if (bias.defined()) b = Var<T>(bias.clone(), {.requires_grad = true});
    const Var<T> result = forward(x, w, b);
    y = result.value();
    result.backward(dy);
  }
};

}  // namespace

TEST_CASE("pictures in lanes: 60 random geometries on every instruction set") {
  Rng rng(1);
  for (int i = 0; i < testing::rounds(60); ++i) {
    const auto g = random_geometry(rng);
    testing::each_isa([&](auto isa, const char* name) {
      compare<float, decltype(isa)>(g, rng, 1e-5, name);
      compare<double, decltype(isa)>(g, rng, 1e-13, name);
    });
  }
}

TEST_CASE("conv2d_relu_max_pool2d: as the three operations, result and gradients") {
  Rng rng(2);
  struct Case {
    Shape x, w;
    Index padding;
    bool bias;
  };
  const std::vector<Case> cases{
      {{16, 12, 12, 3}, {6, 5, 5, 3}, 0, true},
      {{37, 9, 11, 6}, {16, 3, 3, 6}, 1, true},
      {{20, 8, 7, 1}, {5, 2, 4, 1}, 1, false},
      {{18, 6, 6, 4}, {3, 5, 3, 4}, 2, true},
      {{3, 8, 8, 3}, {4, 3, 3, 3}, 1, true},       // too few pictures: the plain way
      {{17, 10, 10, 20}, {8, 3, 3, 20}, 1, true},  // too many channels
      // Filtered along the lines: a last tile with half a window, or without any; rows that no window covers.
      {{19, 13, 15, 3}, {6, 5, 5, 3}, 0, true},
      {{33, 8, 13, 3}, {7, 5, 5, 3}, 0, false},
      {{16, 7, 9, 3}, {6, 5, 5, 3}, 2, true}};
  for (const Case& c : cases) {
    const auto run = [&]<class T>(T, double tolerance) {
      const auto x = Tensor<T>::uniform(c.x, rng, -1, 1), w = Tensor<T>::uniform(c.w, rng, -1, 1);
      const auto b = c.bias ? Tensor<T>::uniform({c.w[0]}, rng, -1, 1) : Tensor<T>();
      const Conv2dParameters conv{.padding = {std::min(c.padding, c.w[1] - 1), c.padding}};
      // Leaves numbers, not zeros, in the memory that the others will work in.
      const Var<T> whole = conv2d(Var<T>(x), Var<T>(w.clone(), {.requires_grad = true}), Var<T>(), conv);
      whole.backward(Tensor<T>::uniform(whole.shape(), rng, -1, 1));
      const auto dy = Tensor<T>::uniform(max_pool2d(whole, {.kernel = 2}).shape(), rng, -1, 1);
      const auto together = [&](auto& px, auto& pw, auto& pb) {
        return conv2d_relu_max_pool2d(px, pw, pb, conv, {.kernel = 2});
      };
      const Layer<T> without_dx(x, w, b, dy, together, false), fused(x, w, b, dy, together);
      const Layer<T> plain(x, w, b, dy, [&](auto& px, auto& pw, auto& pb) {
        return max_pool2d(relu(conv2d(px, pw, pb, conv)), {.kernel = 2});
      });
      CHECK_MESSAGE(error_of(fused.y, plain.y) <= tolerance, "result ", c.x);
      CHECK_MESSAGE(error_of(fused.x.grad(), plain.x.grad()) <= tolerance, "dx ", c.x);
      CHECK_MESSAGE(error_of(fused.w.grad(), plain.w.grad()) <= tolerance, "dw ", c.x);
      CHECK_MESSAGE(error_of(without_dx.w.grad(), plain.w.grad()) <= tolerance, "dw alone ", c.x);
      if (!c.bias) return;
      CHECK_MESSAGE(error_of(fused.b.grad(), plain.b.grad()) <= tolerance, "dbias ", c.x);
      CHECK_MESSAGE(error_of(without_dx.b.grad(), plain.b.grad()) <= tolerance, "dbias without dx ", c.x);
    };
    run(float{}, 1e-5);
    run(double{}, 1e-13);
  }
}

TEST_CASE("conv2d_relu_max_pool2d: where no gradient is wanted, some pictures at a time, to the bit") {
  Rng rng(4);
  for (const Index n : {0, 1, 7}) {  // three pictures of these fill the room for the convolution's result
    Var<float> in(Tensor<float>::uniform({n, 128, 128, 3}, rng, -1, 1));
    const Var<float> w(Tensor<float>::uniform({80, 7, 7, 3}, rng, -1, 1)),
        b(Tensor<float>::uniform({80}, rng, -1, 1));
    const Conv2dParameters conv{.stride = 2, .padding = 3};
    const Pool2dParameters pool{.kernel = 3, .stride = 2, .padding = 1};
    const auto run = [&] { return conv2d_relu_max_pool2d(in, w, b, conv, pool).value(); };
    CHECK(testing::same_bits(run(), max_pool2d(conv2d(in, w, b, conv, {.relu = true}), pool).value()));
    if (n == 0) continue;
    in.value().at({n - 1, 64, 64, 1}) = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(run().at({n - 1, 16, 16, 79})));
    CHECK(!std::isnan(run().at({n - 1, 3, 16, 79})));
  }
  // Where the number of pictures decides the algorithm: up to rounding. The convolution's result is never whole.
  const Var<float> x(Tensor<float>::uniform({9, 126, 126, 16}, rng, -1, 1)),
      w(Tensor<float>::uniform({32, 3, 3, 16}, rng, -1, 1)), b(Tensor<float>::uniform({32}, rng, -1, 1));
  const auto whole = max_pool2d(conv2d(x, w, b, {.padding = 1}, {.relu = true}), {.kernel = 2}).value();
  cpu::HostPool::instance().reset_peak();
  const auto before = cpu::HostPool::instance().stats().peak;
  const auto y = conv2d_relu_max_pool2d(x, w, b, {.padding = 1}, {.kernel = 2}).value();
  CHECK(error_of(y, whole) < 1e-4);
  CHECK(cpu::HostPool::instance().stats().peak - before < std::size_t{9} * 126 * 126 * 32 * 4);
}

TEST_CASE("conv2d_relu_max_pool2d: the same bits with one and with two threads, and a NaN stays") {
  Rng rng(3);
  auto x = Tensor<float>::uniform({50, 14, 14, 6}, rng, -1, 1);
  const auto w = Tensor<float>::uniform({16, 5, 5, 6}, rng, -1, 1),
             b = Tensor<float>::uniform({16}, rng, -1, 1);
  const auto dy = Tensor<float>::uniform({50, 5, 5, 16}, rng, -1, 1);
  const auto run = [&](int threads) {
    const testing::ThreadScope scope(threads);
    return Layer<float>(x, w, b, dy, [](auto& px, auto& pw, auto& pb) {
      return conv2d_relu_max_pool2d(px, pw, pb, {}, {.kernel = 2});
    });
  };
  const auto one = run(1), two = run(2);
  CHECK(testing::same_bits(one.y, two.y));
  CHECK(testing::same_bits(one.x.grad(), two.x.grad()));
  CHECK(testing::same_bits(one.w.grad(), two.w.grad()));
  CHECK(testing::same_bits(one.b.grad(), two.b.grad()));
  x.at({33, 7, 7, 2}) = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(run(2).y.at({33, 2, 2, 9})));
  CHECK(!std::isnan(run(2).y.at({32, 2, 2, 9})));
}
