// The one list of functors that the kernels are compiled for. Each list is a macro that calls its argument
// with (functor, type); a .cu file defines what to do and undefines it afterwards.
#pragma once

#include "tenon/core/functors.hpp"

// clang-format off
#define TENON_ARITHMETIC_UNARY(DO, T)                                                                         \
  DO(fn::Neg, T) DO(fn::Abs, T) DO(fn::Sign, T) DO(fn::Square, T) DO(fn::AddScalar, T) DO(fn::MulScalar, T)   \
  DO(fn::SubtractFrom, T) DO(fn::Clamp, T)

#define TENON_FLOATING_UNARY(DO, T)                                                                           \
  TENON_ARITHMETIC_UNARY(DO, T)                                                                               \
  DO(fn::Reciprocal, T) DO(fn::Sqrt, T) DO(fn::Exp, T) DO(fn::Log, T) DO(fn::Sin, T) DO(fn::Cos, T)           \
  DO(fn::Tanh, T) DO(fn::Softplus, T) DO(fn::Sigmoid, T) DO(fn::Relu, T) DO(fn::LeakyRelu, T)                 \
  DO(fn::Gelu, T) DO(fn::GeluTanh, T) DO(fn::Silu, T) DO(fn::DivScalar, T) DO(fn::DivideInto, T)              \
  DO(fn::PowScalar, T)

#define TENON_ARITHMETIC_BINARY(DO, T)                                                                        \
  DO(fn::Add, T) DO(fn::Sub, T) DO(fn::Mul, T) DO(fn::Maximum, T) DO(fn::Minimum, T) DO(fn::Greater, T)       \
  DO(fn::Less, T) DO(fn::Equal, T)

#define TENON_FLOATING_BINARY(DO, T)                                                                          \
  TENON_ARITHMETIC_BINARY(DO, T)                                                                              \
  DO(fn::Div, T) DO(fn::GreaterShare, T) DO(fn::ReluGrad, T) DO(fn::LeakyReluGrad, T) DO(fn::SigmoidGrad, T)  \
  DO(fn::Weighted, T) DO(fn::TanhGrad, T) DO(fn::ClampGrad, T) DO(fn::GeluGrad, T) DO(fn::GeluTanhGrad, T)       \
  DO(fn::SiluGrad, T)

#define TENON_REDUCTIONS(DO, T) DO(fn::Sum, T) DO(fn::Max, T) DO(fn::Min, T)
// clang-format on
