// Layers without parameters: activations, pooling, resampling, dropout and flattening. They serve every scalar
// type and device.
#pragma once

#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/pool.hpp"
#include "tenon/nn/module.hpp"

namespace tenon::nn {

struct Identity {
  static constexpr const char* kind = "Identity";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return x; }
};

struct ReLU {
  static constexpr const char* kind = "ReLU";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, relu(x)); }
};

struct LeakyReLU {
  static constexpr const char* kind = "LeakyReLU";
  double slope = 0.01;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, leaky_relu(x, slope));
  }
};

struct Sigmoid {
  static constexpr const char* kind = "Sigmoid";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, sigmoid(x)); }
};

struct Tanh {
  static constexpr const char* kind = "Tanh";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, tanh(x)); }
};

struct GELU {
  static constexpr const char* kind = "GELU";
  GeluForm form = GeluForm::erf;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, gelu(x, form)); }
};

struct SiLU {
  static constexpr const char* kind = "SiLU";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, silu(x)); }
};

struct Softmax {
  static constexpr const char* kind = "Softmax";
  int axis = -1;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, softmax(x, axis));
  }
};

// {.kernel = 2}; the stride is the kernel's unless given.
struct MaxPool2d {
  static constexpr const char* kind = "MaxPool2d";
  Pool2dParameters window;
  explicit MaxPool2d(const Pool2dParameters& p = {}) : window(p) {}
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, max_pool2d(x, window));
  }
};

struct AvgPool2d {
  static constexpr const char* kind = "AvgPool2d";
  Pool2dParameters window;
  explicit AvgPool2d(const Pool2dParameters& p = {}) : window(p) {}
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, avg_pool2d(x, window));
  }
};

struct AdaptiveAvgPool2d {
  static constexpr const char* kind = "AdaptiveAvgPool2d";
  Size2d output = 1;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, adaptive_avg_pool2d(x, output));
  }
};

// (N,H,W,C) -> (N,C)
struct GlobalAvgPool2d {
  static constexpr const char* kind = "GlobalAvgPool2d";
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, global_avg_pool2d(x));
  }
};

enum class UpsampleMode { nearest, bilinear };

// By a whole factor: (N,H,W,C) -> (N,factor·H,factor·W,C)
struct Upsample {
  static constexpr const char* kind = "Upsample";
  Index factor = 2;
  UpsampleMode mode = UpsampleMode::nearest;
  bool align_corners = false;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    require<ShapeError>(x.rank() == 4, "Upsample: x ", x.shape(), ", expected (N,H,W,C)");
    const Size2d out{factor * x.size(1), factor * x.size(2)};
    return observed(*this, mode == UpsampleMode::nearest ? upsample_nearest(x, out)
                                                         : upsample_bilinear(x, out, {align_corners}));
  }
};

struct DropoutOptions {
  double probability = 0.5;
};

// Drops while training, passes everything on in evaluation. Owns a generator, so that runs repeat.
struct Dropout {
  static constexpr const char* kind = "Dropout";
  double probability;
  Rng rng;
  bool training = true;

  Dropout(const DropoutOptions& o, Rng& source) : probability(o.probability), rng(source.fork(source.bits())) {
    require<ValueError>(o.probability >= 0 && o.probability < 1, "Dropout: probability is ", o.probability,
                        ", expected 0 <= p < 1");
  }
  void parts(auto&& visit) { visit("rng", rng); }
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) {
    return observed(*this, training && probability > 0 ? dropout(x, probability, rng) : x);
  }
};

// All dimensions from `first` on become one.
struct Flatten {
  static constexpr const char* kind = "Flatten";
  int first = 1;
  void parts(auto&&) {}
  template <class T, class D> Var<T, D> operator()(const Var<T, D>& x) const {
    return observed(*this, flatten(x, first));
  }
};

}  // namespace tenon::nn
