// Residual networks for 32×32 pictures: ResNet-20, 32, 44, 56 and 110 (He et al. 2016, §4.2). Three stages of
// n blocks with 16, 32 and 64 channels make 6n + 2 weighted layers.
#pragma once

#include "tenon/nn/nn.hpp"

namespace tenon::models {

// How a shortcut changes size between stages (§3.3): option A subsamples and fills the new channels with
// zeros, so it has no parameters; the projection (option B) is a 1×1 convolution with batch normalisation.
enum class Shortcut { option_a, projection };

struct CifarResNetOptions {
  int depth = 20;  // 6n + 2
  Index classes = 10;
  Shortcut shortcut = Shortcut::option_a;
};

namespace detail {

// Every stride-th pixel, and zeros for the added channels, half before and half after (as the common port has
// it). x (N,H,W,C) -> (N,H/stride,W/stride,out), rounded up. Forward and backward are one strided copy
// between zeros.
template <class T, class D>
Var<T, D> option_a(const Var<T, D>& x, Index out, Index stride) {
  const Index n = x.size(0), h = x.size(1), w = x.size(2), c = x.size(3);
  const Index oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
  StridedGeometry g{.rank = 4,
                    .extent = {n, oh, ow, c},
                    .stride_x = {h * w * c, stride * w * c, stride * c, 1},
                    .stride_y = {oh * ow * out, ow * out, out, 1},
                    .y_offset = (out - c) / 2};
  auto y = Tensor<T, D>::zeros({n, oh, ow, out});
  Backend<D>::copy_strided(g, x.value().data(), y.data());
  return record(std::move(y), {x}, [=](const Tensor<T, D>& dy) {
    auto back = g;
    std::swap(back.stride_x, back.stride_y);
    std::swap(back.x_offset, back.y_offset);
    auto dx = Tensor<T, D>::zeros(x.shape());
    Backend<D>::copy_strided(back, dy.data(), dx.data());
    x.accumulate(std::move(dx));
  });
}

}  // namespace detail

// Two 3×3 convolutions around a shortcut. x (N,H,W,in) -> (N,H/stride,W/stride,out)
template <class T, class D>
struct BasicBlock {
  nn::Conv2d<T, D> conv1, conv2;
  nn::BatchNorm2d<T, D> bn1, bn2;
  std::optional<nn::Sequential<nn::Conv2d<T, D>, nn::BatchNorm2d<T, D>>> shortcut;
  nn::ReLU relu;
  Index out, stride;

  BasicBlock(Index in, Index out_channels, Index stride_, Shortcut kind, Rng& rng)
      : conv1({.in = in, .out = out_channels, .kernel = 3, .stride = stride_, .padding = 1, .bias = false},
              rng),
        conv2({.in = out_channels, .out = out_channels, .kernel = 3, .padding = 1, .bias = false}, rng),
        bn1({.channels = out_channels}),
        bn2({.channels = out_channels}),
        out(out_channels),
        stride(stride_) {
    if (kind == Shortcut::projection && (stride != 1 || in != out)) {
      shortcut.emplace(
          nn::Conv2d<T, D>({.in = in, .out = out, .kernel = 1, .stride = stride, .bias = false}, rng),
          nn::BatchNorm2d<T, D>({.channels = out}));
    }
  }

  void parts(auto&& visit) {
    visit("conv1", conv1);
    visit("bn1", bn1);
    visit("conv2", conv2);
    visit("bn2", bn2);
    visit("shortcut", shortcut);
    visit("relu", relu);
  }

  Var<T, D> operator()(Var<T, D> x) {
    const auto y = nn::conv_norm_relu(conv1, bn1, relu, x);
    return nn::conv_norm_add_relu(conv2, bn2, relu, y, [&]() -> Var<T, D> {
      if (shortcut) return nn::conv_norm(shortcut->template get<0>(), shortcut->template get<1>(), x);
      if (x.size(3) != out || stride != 1) return detail::option_a(x, out, stride);
      return std::move(x);  // which nothing else will read
    });
  }
};

// x (N,32,32,3) -> logits (N,classes)
template <class T = float, class D = Cpu>
struct CifarResNet {
  nn::Conv2d<T, D> conv1;
  nn::BatchNorm2d<T, D> bn1;
  std::vector<BasicBlock<T, D>> layer1, layer2, layer3;
  nn::Linear<T, D> linear;
  nn::ReLU relu;

  CifarResNet(const CifarResNetOptions& o, Rng& rng)
      : conv1({.in = 3, .out = 16, .kernel = 3, .padding = 1, .bias = false}, rng),
        bn1({.channels = 16}),
        layer1(stage(16, 16, 1, o, rng)),
        layer2(stage(16, 32, 2, o, rng)),
        layer3(stage(32, 64, 2, o, rng)),
        linear({.in = 64, .out = o.classes}, rng) {
    // The paper's initialisation (He et al. 2015) for every convolution and the classifier.
    nn::walk(*this, "", [&](const std::string&, auto& part) {
      using Part = std::remove_cvref_t<decltype(part)>;
      if constexpr (std::same_as<Part, nn::Conv2d<T, D>>) nn::kaiming_normal_(part.weight, rng);
    });
    nn::kaiming_normal_(linear.weight, rng);
  }

  void parts(auto&& visit) {
    visit("conv1", conv1);
    visit("bn1", bn1);
    visit("layer1", layer1);
    visit("layer2", layer2);
    visit("layer3", layer3);
    visit("linear", linear);
    visit("relu", relu);
  }

  Var<T, D> operator()(const Var<T, D>& x) {
    auto y = nn::conv_norm_relu(conv1, bn1, relu, x);
    for (auto* layer : {&layer1, &layer2, &layer3}) {
      for (auto& block : *layer) y = block(std::move(y));
    }
    return linear(global_avg_pool2d(y));
  }

 private:
  static std::vector<BasicBlock<T, D>> stage(Index in, Index out, Index stride, const CifarResNetOptions& o,
                                             Rng& rng) {
    require<ValueError>(o.depth >= 8 && (o.depth - 2) % 6 == 0, "CifarResNet: depth is ", o.depth,
                        ", expected 6n + 2 (20, 32, 44, 56, 110)");
    std::vector<BasicBlock<T, D>> blocks;
    for (int i = 0; i < (o.depth - 2) / 6; ++i) {
      blocks.emplace_back(i == 0 ? in : out, out, i == 0 ? stride : 1, o.shortcut, rng);
    }
    return blocks;
  }
};

}  // namespace tenon::models
