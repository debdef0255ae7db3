// BatchNorm: normalises each channel by its mean and variance over the batch while training, and by running
// averages of them afterwards (Ioffe & Szegedy 2015).
#pragma once

#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/batchnorm.hpp"
#include "tenon/nn/init.hpp"
#include "tenon/nn/module.hpp"

namespace tenon::nn {

struct BatchNormOptions {
  Index channels = 0;
  double momentum = 0.1;  // weight of the newest batch in the running averages
  double eps = 1e-5;
};

// x (N,H,W,C), rank 4, or for BatchNorm1d (N,C) -> the same shape
template <class T, class D, int Rank>
struct BatchNorm {
  static constexpr const char* kind = Rank == 4 ? "BatchNorm2d" : "BatchNorm1d";
  using value_type = T;
  using device_type = D;
  Var<T, D> weight, bias;
  Tensor<T, D> running_mean, running_var;
  BatchNormParameters settings;
  bool training = true;
  bool folded = false;  // into the convolution before it (nn/fold_batchnorm.hpp), which leaves nothing to normalise

  explicit BatchNorm(const BatchNormOptions& o) : settings{.momentum = o.momentum, .eps = o.eps} {
    require<ValueError>(o.channels > 0, kind, ": channels is ", o.channels, ", expected at least 1");
    weight = constant_parameter<T, D>({o.channels}, 1);
    bias = constant_parameter<T, D>({o.channels}, 0);
    running_mean = Tensor<T, D>::zeros({o.channels});
    running_var = Tensor<T, D>::ones({o.channels});
  }

  void parts(auto&& visit) {
    visit("weight", weight);
    visit("bias", bias);
    visit("running_mean", running_mean);
    visit("running_var", running_var);
  }

  Var<T, D> operator()(const Var<T, D>& x) { return observed(*this, normalised(x)); }

  // The same unobserved, with a residual and a rectifier in the same pass, and with x's statistics if they are known:
  // see nn/fused.hpp.
  Var<T, D> normalised(const Var<T, D>& x, const AfterNorm<T, D>& after = {},
                       const BatchStatistics<T, D>& known = {}) {
    require<ShapeError>(x.rank() == Rank, kind, ": x ", x.shape(), ", expected ",
                        Rank == 4 ? "(N,H,W,C)" : "(N,C)");
    if (folded) {
      const auto y = after.residual.defined() ? x + after.residual : x;
      return after.relu ? relu(y) : y;
    }
    return training ? batch_norm_train(x, weight, bias, running_mean, running_var, settings, after, known)
                    : batch_norm_eval(x, weight, bias, running_mean, running_var, settings, after);
  }
};

template <class T = float, class D = Cpu>
struct BatchNorm2d : BatchNorm<T, D, 4> {
  using BatchNorm<T, D, 4>::BatchNorm;
};
template <class T = float, class D = Cpu>
struct BatchNorm1d : BatchNorm<T, D, 2> {
  using BatchNorm<T, D, 2>::BatchNorm;
};

}  // namespace tenon::nn
