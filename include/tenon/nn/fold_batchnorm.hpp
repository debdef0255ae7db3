// Folding: after training, a batch normalisation is a scale and a shift of each channel, and a convolution
// before it can do both. With s = gamma/√(running_var + eps):
//
//   bn(w∗x + b) = (s·w)∗x + (s·(b - running_mean) + beta)
//
// so the normalisation costs nothing, and the convolution's bias and rectifier can go in one pass.
#pragma once

#include "tenon/nn/batchnorm.hpp"
#include "tenon/nn/conv.hpp"

namespace tenon::nn {

namespace detail {

// Sees the parts of one module in order and folds each BatchNorm2d that comes directly after a Conv2d of its
// width.
template <class T, class D>
class FoldSiblings {
 public:
  template <class Part>
  void operator()(std::string_view, Part& part) {
    if constexpr (is_optional<Part>) {
      if (part) (*this)("", *part);
    } else if constexpr (std::same_as<Part, Conv2d<T, D>>) {
      conv_ = &part;
    } else if constexpr (std::same_as<Part, BatchNorm2d<T, D>>) {
      if (conv_ && !part.folded && conv_->weight.size(0) == part.weight.numel()) fold(*conv_, part);
      conv_ = nullptr;
    } else {
      conv_ = nullptr;
    }
  }

 private:
  static void fold(Conv2d<T, D>& conv, BatchNorm2d<T, D>& bn) {
    const auto scale = bn.weight.value() / sqrt(bn.running_var + bn.settings.eps);
    const auto shift = bn.bias.value() - bn.running_mean * scale;
    conv.bias = conv.bias.defined() ? conv.bias.value() * scale + shift : shift;
    conv.weight = conv.weight.value() * scale.reshape({scale.numel(), 1, 1, 1});
    bn.weight = bn.bias = {};
    bn.folded = true;
  }

  Conv2d<T, D>* conv_ = nullptr;
};

}  // namespace detail

// A copy of the model for inference, in evaluation mode, in which every BatchNorm2d that directly follows a
// Conv2d in the parts of the same module is folded into it and passes its input on. That order must be the
// order of the calls, and nothing else may read the convolution's output; so it is in Sequential and in the
// models here. Other normalisations stay as they are. The copy shares nothing with the model, which can be
// trained further, and none of its own parameters requires a gradient. fold_batchnorm(std::move(model)) never
// holds the weights twice.
template <class M>
M fold_batchnorm(M model) {
  using T = ValueOf<M>;
  using D = DeviceOf<M>;
  walk(model, "", [](const std::string&, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (Module<Part>) { part.parts(detail::FoldSiblings<T, D>{}); }
  });
  walk(model, "", [](const std::string&, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (std::same_as<Part, Conv2d<T, D>>) {
      part.geometry.keep_prepared = true;
    } else if constexpr (detail::is_var<Part>) {
      if (part.requires_grad()) part = Part(part.value().clone());  // folded weights are new already
    } else if constexpr (detail::is_tensor<Part>) {
      part = part.clone();
    }
  });
  set_training(model, false);
  return model;
}

}  // namespace tenon::nn
