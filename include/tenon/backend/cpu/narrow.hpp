// Products and convolutions of what is stored in 16 bits: operands become float for the time of a call, which then runs
// as any other, and results are rounded once. Memory holds half as much; every product and sum is float's. No
// instruction set is needed for it.
#pragma once

#include "tenon/backend/cpu/conv.hpp"
#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "tenon/core/scalar.hpp"

namespace tenon::cpu {

// half and bfloat16.
template <class T>
concept Narrow = !std::same_as<T, Wide<T>>;

// What a kernel reads, or null.
template <Narrow T>
class Widened {
 public:
  Widened(const T* x, Index n) : values_(x ? n : 0), there_(x != nullptr) {
    if (x) convert(x, values_.data(), n);
  }
  const Wide<T>* data() const { return there_ ? values_.data() : nullptr; }

 private:
  Scratch<Wide<T>> values_;
  bool there_;
};

// What a kernel writes, to be rounded to y at the end; if it adds to y, it reads it first.
template <Narrow T>
class Rounded {
 public:
  Rounded(T* y, Index n, bool adds) : values_(n), y_(y), n_(n) {
    if (adds) convert(y, values_.data(), n);
  }
  ~Rounded() { convert(values_.data(), y_, n_); }
  Rounded(const Rounded&) = delete;
  Rounded& operator=(const Rounded&) = delete;
  Wide<T>* data() { return values_.data(); }

 private:
  Scratch<Wide<T>> values_;
  T* y_;
  Index n_;
};

template <Narrow T>
void gemm(const GemmGeometry& g, const T* a, const T* b, T* c) {
  GemmGeometry single = g;
  single.batch = 1;
  for (Index i = 0; i < g.batch; ++i) {
    const Widened<T> left(a + i * g.stride_a, g.m * g.k), right(b + i * g.stride_b, g.k * g.n);
    Rounded<T> out(c + i * g.stride_c, g.m * g.n, g.beta != 0);
    gemm(single, left.data(), right.data(), out.data());
  }
}

// The channels' moments are not gathered: they are those of the rounded values.
template <Narrow T>
void conv2d_forward(const Conv2dGeometry& g, const T* x, std::type_identity_t<ConvWeights<T>> w, Epilogue<T> finish,
                    T* y) {
  const Index size = g.n * g.oh * g.ow * g.o;
  const Widened<T> pictures(x, g.n * g.h * g.w * g.c), weights(w.data, g.o * g.taps());
  const Widened<T> bias(finish.bias, g.o), residual(finish.residual, size);
  Rounded<T> out(y, size, false);
  conv2d_forward<Wide<T>>(g, pictures.data(), weights.data(),
                          {.bias = bias.data(), .residual = residual.data(), .relu = finish.relu, .row = finish.row},
                          out.data());
}

template <Narrow T>
void conv2d_backward_data(const Conv2dGeometry& g, const T* dy, const T* w, bool add, T* dx) {
  const Widened<T> gradient(dy, g.n * g.oh * g.ow * g.o), weights(w, g.o * g.taps());
  Rounded<T> out(dx, g.n * g.h * g.w * g.c, add);
  conv2d_backward_data<Wide<T>>(g, gradient.data(), weights.data(), add, out.data());
}

template <Narrow T>
void conv2d_backward_weights(const Conv2dGeometry& g, const T* x, const T* dy, T* dw) {
  const Widened<T> pictures(x, g.n * g.h * g.w * g.c), gradient(dy, g.n * g.oh * g.ow * g.o);
  Rounded<T> out(dw, g.o * g.taps(), false);
  conv2d_backward_weights(g, pictures.data(), gradient.data(), out.data());
}

}  // namespace tenon::cpu
