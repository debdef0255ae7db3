// Conv2d: 2-D convolution over pictures (N,H,W,C).
#pragma once

#include "tenon/autograd/conv.hpp"
#include "tenon/nn/init.hpp"
#include "tenon/nn/module.hpp"

namespace tenon::nn {

struct Conv2dOptions {
  Index in = 0, out = 0;  // channels
  Size2d kernel = 1;
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  Index groups = 1;  // in for a depthwise convolution
  bool bias = true;
};

// x (N,H,W,in) -> (N,H',W',out); weight (out,KH,KW,in/groups), bias (out)
template <class T = float, class D = Cpu>
struct Conv2d {
  static constexpr const char* kind = "Conv2d";
  Var<T, D> weight, bias;
  Conv2dParameters geometry;

  Conv2d(const Conv2dOptions& o, Rng& rng)
      : geometry{.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups} {
    require<ValueError>(o.in > 0 && o.out > 0 && o.kernel.h > 0 && o.kernel.w > 0, "Conv2d: in ", o.in,
                        ", out ", o.out, ", kernel (", o.kernel.h, ",", o.kernel.w, "), expected at least 1");
    require<ValueError>(o.groups > 0 && o.in % o.groups == 0 && o.out % o.groups == 0, "Conv2d: groups ",
                        o.groups, " must divide in ", o.in, " and out ", o.out);
    const Shape shape{o.out, o.kernel.h, o.kernel.w, o.in / o.groups};
    const double bound = default_bound(fans(shape).in);
    weight = uniform_parameter<T, D>(shape, bound, rng);
    if (o.bias) bias = uniform_parameter<T, D>({o.out}, bound, rng);
  }

  void parts(auto&& visit) {
    visit("weight", weight);
    visit("bias", bias);
  }

  Var<T, D> operator()(const Var<T, D>& x) const { return observed(*this, convolved(x)); }

  // The same unobserved, and with a residual and a rectifier in the same pass: see nn/fused.hpp.
  Var<T, D> convolved(const Var<T, D>& x, AfterConv<T, D> after = {}) const {
    return conv2d(x, weight, bias, geometry, std::move(after));
  }
};

}  // namespace tenon::nn
