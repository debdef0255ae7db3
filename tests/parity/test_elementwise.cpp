// Elementwise kernels: every functor, broadcasting, conversion and strided copies.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

template <class T, class Op>
void check_map(const std::string& name, Op op, double low = -2, double high = 2) {
  for (const Index n : {1, 257, 70001}) {
    parity::compare<T>(
        {.name = name, .inputs = {numbers(n, 1, low, high)}, .outputs = {n}, .slack = 4},
        [&](auto d, const auto& in, const auto& out) { Backend<decltype(d)>::map(op, in[0], out[0], n); });
  }
}

template <class T, class Op>
void check_zip(const std::string& name, Op op) {
  const Index n = 4099;
  parity::compare<T>(
      {.name = name, .inputs = {numbers(n, 2, 0.1, 2), numbers(n, 3, 0.1, 2)}, .outputs = {n}, .slack = 4},
      [&](auto d, const auto& in, const auto& out) {
        Backend<decltype(d)>::zip(op, in[0], in[1], out[0], n);
      });
  // (5,1,7,3) with (1,11,7,1)
  BroadcastGeometry g;
  g.rank = 4;
  g.extent = {5, 11, 7, 3};
  g.stride_a = {21, 0, 3, 1};
  g.stride_b = {0, 7, 1, 0};
  parity::compare<T>({.name = name + ", broadcast",
                      .inputs = {numbers(105, 4), numbers(77, 5, 0.1, 2)},
                      .outputs = {1155},
                      .slack = 4},
                     [&](auto d, const auto& in, const auto& out) {
                       Backend<decltype(d)>::zip(op, g, in[0], in[1], out[0]);
                     });
}

template <class T>
void check_all() {
  check_map<T>("neg", fn::Neg{});
  check_map<T>("abs", fn::Abs{});
  check_map<T>("sign", fn::Sign{});
  check_map<T>("square", fn::Square{});
  check_map<T>("reciprocal", fn::Reciprocal{}, 0.5, 2);
  check_map<T>("sqrt", fn::Sqrt{}, 0, 4);
  check_map<T>("exp", fn::Exp{});
  check_map<T>("log", fn::Log{}, 0.1, 4);
  check_map<T>("sin", fn::Sin{});
  check_map<T>("cos", fn::Cos{});
  check_map<T>("tanh", fn::Tanh{});
  check_map<T>("softplus", fn::Softplus{}, -30, 30);
  check_map<T>("sigmoid", fn::Sigmoid{}, -30, 30);
  check_map<T>("relu", fn::Relu{});
  check_map<T>("leaky_relu", fn::LeakyRelu{0.03125});
  check_map<T>("gelu", fn::Gelu{});
  check_map<T>("gelu_tanh", fn::GeluTanh{});
  check_map<T>("silu", fn::Silu{});
  check_map<T>("add_scalar", fn::AddScalar{0.75});
  check_map<T>("mul_scalar", fn::MulScalar{1.5});
  check_map<T>("div_scalar", fn::DivScalar{1.5});
  check_map<T>("subtract_from", fn::SubtractFrom{0.75});
  check_map<T>("divide_into", fn::DivideInto{0.75}, 0.5, 2);
  check_map<T>("pow_scalar", fn::PowScalar{1.5}, 0.1, 2);
  check_map<T>("clamp", fn::Clamp{-0.5, 1.25});
  check_zip<T>("add", fn::Add{});
  check_zip<T>("sub", fn::Sub{});
  check_zip<T>("mul", fn::Mul{});
  check_zip<T>("div", fn::Div{});
  check_zip<T>("maximum", fn::Maximum{});
  check_zip<T>("minimum", fn::Minimum{});
  check_zip<T>("greater", fn::Greater{});
  check_zip<T>("less", fn::Less{});
  check_zip<T>("equal", fn::Equal{});
  check_zip<T>("greater_share", fn::GreaterShare{});
  check_zip<T>("relu_grad", fn::ReluGrad{});
  check_zip<T>("leaky_relu_grad", fn::LeakyReluGrad{0.03125});
  check_zip<T>("sigmoid_grad", fn::SigmoidGrad{});
  check_zip<T>("tanh_grad", fn::TanhGrad{});
  check_zip<T>("clamp_grad", fn::ClampGrad{-0.5, 1.25});
  check_zip<T>("gelu_grad", fn::GeluGrad{});
  check_zip<T>("gelu_tanh_grad", fn::GeluTanhGrad{});
  check_zip<T>("silu_grad", fn::SiluGrad{});
}

}  // namespace

TEST_CASE("elementwise functors") {
  if (!parity::device("elementwise functors")) return;
  check_all<float>();
  check_all<double>();
  check_all<half>();
  check_all<bfloat16>();
}

TEST_CASE("a NaN passes through maximum and relu") {
  if (!parity::device("a NaN passes through maximum and relu")) return;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float, Cuda> x({3}, {nan, -1, 2}), y({3}, {1, nan, 3});
  const auto top = maximum(x, y).to_vector(), positive = relu(x).to_vector();
  CHECK(std::isnan(top[0]));
  CHECK(std::isnan(top[1]));
  CHECK(top[2] == 3);
  CHECK(std::isnan(positive[0]));
  CHECK(positive[1] == 0);
}

TEST_CASE("16-bit formats convert as on the CPU, bit for bit") {
  if (!parity::device("16-bit formats convert as on the CPU, bit for bit")) return;
  std::vector<float> values{0.0f,     -0.0f,  1.0f,     65504.0f,
                            65520.0f, 1e-8f,  6e-8f,    5.96e-8f,
                            1e30f,    -1e30f, 3.14159f, std::numeric_limits<float>::infinity()};
  Rng rng(9);
  for (int i = 0; i < 5000; ++i)
    values.push_back(
        static_cast<float>(std::ldexp(rng.uniform(-1, 1), static_cast<int>(rng.below(60)) - 30)));
  const Index n = static_cast<Index>(values.size());
  const Tensor<float, Cpu> host({n}, values);
  const auto gpu = host.to<Cuda>();
  const auto h = gpu.cast<half>().to_vector(), expected_h = host.cast<half>().to_vector();
  const auto b = gpu.cast<bfloat16>().to_vector(), expected_b = host.cast<bfloat16>().to_vector();
  Index wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    wrong += h[i].bits != expected_h[i].bits;
    wrong += b[i].bits != expected_b[i].bits;
  }
  CHECK(wrong == 0);
  CHECK(gpu.cast<half>().cast<float>().to_vector() == host.cast<half>().cast<float>().to_vector());
}

TEST_CASE("integers: conversion, comparison, sums") {
  if (!parity::device("integers: conversion, comparison, sums")) return;
  const Tensor<std::int64_t, Cuda> x({5}, {3, -1, 4, 1, 5}), y({5}, {3, 1, 4, -1, 5});
  CHECK(equal(x, y).to_vector() == std::vector<std::int64_t>{1, 0, 1, 0, 1});
  CHECK(sum(equal(x, y)).item() == 3);
  CHECK(x.cast<float>().cast<std::uint8_t>().cast<std::int32_t>().to_vector()[2] == 4);
}

TEST_CASE("strided copies: permute, slice, pad, concatenate") {
  if (!parity::device("strided copies: permute, slice, pad, concatenate")) return;
  Rng rng(3);
  const auto x = Tensor<float, Cpu>::uniform({3, 5, 2, 7}, rng);
  const auto gx = x.to<Cuda>();
  CHECK(permute(gx, {2, 0, 3, 1}).to_vector() == permute(x, {2, 0, 3, 1}).to_vector());
  CHECK(slice(gx, 1, {1, 4}).to_vector() == slice(x, 1, {1, 4}).to_vector());
  CHECK(pad(gx, {{0, 1}, {2, 0}, {0, 0}, {3, 3}}, 0.5).to_vector() ==
        pad(x, {{0, 1}, {2, 0}, {0, 0}, {3, 3}}, 0.5).to_vector());
  CHECK(concat<float, Cuda>({gx, gx}, 2).to_vector() == concat<float, Cpu>({x, x}, 2).to_vector());
  const auto column = slice(x, 3, {0, 1});
  CHECK(broadcast_to(column.to<Cuda>(), {3, 5, 2, 7}).to_vector() ==
        broadcast_to(column, {3, 5, 2, 7}).to_vector());
}
