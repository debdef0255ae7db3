// Linear: y = x·weightᵀ + bias over the last axis.
#pragma once

#include "tenon/autograd/matmul.hpp"
#include "tenon/nn/init.hpp"
#include "tenon/nn/module.hpp"

namespace tenon::nn {

struct LinearOptions {
  Index in = 0, out = 0;  // features
  bool bias = true;
};

// x (…,in) -> (…,out); weight (out,in), bias (out)
template <class T = float, class D = Cpu>
struct Linear {
  static constexpr const char* kind = "Linear";
  Var<T, D> weight, bias;

  Linear(const LinearOptions& o, Rng& rng) {
    require<ValueError>(o.in > 0 && o.out > 0, "Linear: in ", o.in, ", out ", o.out, ", expected at least 1");
    weight = uniform_parameter<T, D>({o.out, o.in}, default_bound(o.in), rng);
    if (o.bias) bias = uniform_parameter<T, D>({o.out}, default_bound(o.in), rng);
  }

  void parts(auto&& visit) {
    visit("weight", weight);
    visit("bias", bias);
  }

  Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, linear(x, weight, bias)); }
};

}  // namespace tenon::nn
