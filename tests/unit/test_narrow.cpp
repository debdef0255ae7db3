// Products and convolutions of half and bfloat16: the plain loops on the same values as floats, rounded once.
#include "conv_cases.hpp"
#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/conv.hpp"
#include "tenon/autograd/pool.hpp"
#include "tenon/autograd/reduce.hpp"
#include "tenon/backend/cpu/narrow.hpp"

using namespace tenon;
using testing::error_of;

namespace {

template <class T>
constexpr double half_a_step = std::same_as<T, half> ? 0x1p-11 : 0x1p-8;  // relative to a value

// Whether each value is that of `expected`, which float rounds to within 1e-5 of the largest, rounded to T.
template <class T>
bool rounded(const Tensor<T>& found, const Tensor<float>& expected) {
  if (found.shape() != expected.shape()) return false;
  float largest = 0;
  for (Index i = 0; i < expected.numel(); ++i) largest = std::max(largest, std::abs(expected.data()[i]));
  for (Index i = 0; i < found.numel(); ++i) {
    const double value = expected.data()[i], difference = std::abs(static_cast<float>(found.data()[i]) - value);
    if (!(difference <= half_a_step<T> * std::abs(value) + 1e-5 * static_cast<double>(largest))) return false;
  }
  return true;
}

template <class T>
Tensor<T> unwritten(const Shape& shape) {
  return Tensor<T>::full(shape, std::numeric_limits<float>::quiet_NaN());
}

template <class T>
void check_products() {
  Rng rng(1);
  for (const auto& size : std::vector<std::array<Index, 3>>{{1, 1, 1}, {5, 9, 300}, {33, 20, 7}, {64, 130, 70}}) {
    const Index m = size[0], n = size[1], k = size[2];
    for (int form = 0; form < 8; ++form) {
      const GemmGeometry g{.m = m,
                           .n = n,
                           .k = k,
                           .transpose_a = (form & 1) != 0,
                           .transpose_b = (form & 2) != 0,
                           .alpha = 1.5,
                           .beta = form & 4 ? -0.5 : 0.0};
      const auto a = Tensor<T>::uniform({m, k}, rng, -1, 1), b = Tensor<T>::uniform({k, n}, rng, -1, 1);
      const auto before = Tensor<T>::uniform({m, n}, rng, -1, 1);
      auto expected = before.template cast<float>();
      cpu::gemm_reference(g, a.template cast<float>().data(), b.template cast<float>().data(), expected.data());
      auto found = form & 4 ? before.clone() : unwritten<T>({m, n});
      cpu::gemm(g, a.data(), b.data(), found.data());
      CHECK_MESSAGE(rounded(found, expected), scalar_name<T>(), " ", m, "x", n, "x", k, " form ", form);
    }
  }
}

template <class T>
void check_convolutions() {
  Rng rng(2);
  const auto check = [&](Conv2dGeometry g) {
    REQUIRE(testing::set_output_size(g));
    const auto in = testing::random_operands<T>(g, rng);
    const auto residual = Tensor<T>::uniform(in.dy.shape(), rng, -1, 1);
    const testing::ConvOperands<float> wide{.x = in.x.template cast<float>(),
                                            .w = in.w.template cast<float>(),
                                            .bias = in.bias.template cast<float>(),
                                            .dy = in.dy.template cast<float>()};
    const auto wide_residual = residual.template cast<float>();
    const auto expected =
        testing::plain_loops(g, wide, {.bias = wide.bias.data(), .residual = wide_residual.data(), .relu = true});
    const cpu::Epilogue<T> finish{.bias = in.bias.data(), .residual = residual.data(), .relu = true, .row = g.o};
    auto y = unwritten<T>(in.dy.shape()), dx = unwritten<T>(in.x.shape()), dw = unwritten<T>(in.w.shape());
    cpu::conv2d_forward(g, in.x.data(), in.w.data(), finish, y.data());
    cpu::conv2d_backward_data<T>(g, in.dy.data(), in.w.data(), false, dx.data());
    cpu::conv2d_backward_weights(g, in.x.data(), in.dy.data(), dw.data());
    CHECK_MESSAGE(rounded(y, expected.y), scalar_name<T>(), " forward ", testing::describe(g));
    CHECK_MESSAGE(rounded(dx, expected.dx), scalar_name<T>(), " backward data ", testing::describe(g));
    CHECK_MESSAGE(rounded(dw, expected.dw), scalar_name<T>(), " backward weights ", testing::describe(g));
    // Over the residual's own elements; and onto a gradient that is there.
    auto over = residual.clone();
    cpu::conv2d_forward(g, in.x.data(), in.w.data(),
                        {.bias = in.bias.data(), .residual = over.data(), .relu = true, .row = g.o}, over.data());
    CHECK_MESSAGE(testing::same_bits(over, y), scalar_name<T>(), " over the residual ", testing::describe(g));
    const auto before = Tensor<T>::uniform(in.x.shape(), rng, -1, 1);
    auto added = before.clone();
    cpu::conv2d_backward_data<T>(g, in.dy.data(), in.w.data(), true, added.data());
    const auto sum = expected.dx + before.template cast<float>();
    CHECK_MESSAGE(rounded(added, sum), scalar_name<T>(), " added to ", testing::describe(g));
  };
  using G = Conv2dGeometry;
  check(G{.n = 2, .h = 7, .w = 9, .c = 5, .o = 3, .kh = 3, .kw = 2, .stride_h = 2, .pad_h = 1});
  check(G{.n = 1, .h = 1, .w = 1, .c = 3, .o = 4, .kh = 1, .kw = 1});
  check(G{.n = 3, .h = 8, .w = 8, .c = 16, .o = 16, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(G{.n = 2, .h = 6, .w = 5, .c = 6, .o = 4, .kh = 3, .kw = 3, .dilation_w = 2, .groups = 2});
}

}  // namespace

TEST_CASE("half and bfloat16: products are those of floats, rounded once") {
  check_products<half>();
  check_products<bfloat16>();
}

TEST_CASE("half and bfloat16: convolutions are those of floats, rounded once") {
  check_convolutions<half>();
  check_convolutions<bfloat16>();
}

TEST_CASE("bfloat16: a convolution, a rectifier and a pool with their gradients") {
  Rng rng(3);
  const auto x = Tensor<bfloat16>::uniform({2, 8, 8, 3}, rng, -1, 1),
             w = Tensor<bfloat16>::uniform({4, 3, 3, 3}, rng, -1, 1);
  const auto gradient = [&]<class T>(T) {
    const Var<T> weight(w.cast<T>(), {.requires_grad = true});
    sum(max_pool2d(relu(conv2d(Var<T>(x.cast<T>()), weight, Var<T>())), {.kernel = 2, .stride = 2})).backward();
    return weight.grad().template cast<double>();
  };
  CHECK(error_of(gradient(bfloat16()), gradient(double())) <= 0.05);
}
