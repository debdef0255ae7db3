// Residual networks for ImageNet-sized pictures: ResNet-18, 34, 50, 101 and 152 (He et al. 2016, table 1), in
// torchvision's form: its names, its initialisation, and the stride of a bottleneck in the 3×3 convolution
// ("v1.5").
#pragma once

#include <array>

#include "tenon/nn/nn.hpp"

namespace tenon::models {

struct ResNetOptions {
  int depth = 50;  // 18, 34, 50, 101 or 152
  Index classes = 1000;
  bool zero_init_residual = false;  // every block starts as the identity (Goyal et al. 2017, §5.1)
};

namespace detail {

// The blocks of the four stages, and whether they are bottlenecks.
struct ResNetPlan {
  std::array<int, 4> blocks;
  bool bottleneck;
};

inline ResNetPlan resnet_plan(int depth) {
  switch (depth) {
    case 18:
      return {{2, 2, 2, 2}, false};
    case 34:
      return {{3, 4, 6, 3}, false};
    case 50:
      return {{3, 4, 6, 3}, true};
    case 101:
      return {{3, 4, 23, 3}, true};
    case 152:
      return {{3, 8, 36, 3}, true};
    default:
      fail<ValueError>("ResNet: depth is ", depth, ", expected 18, 34, 50, 101 or 152");
  }
}

}  // namespace detail

struct ResNetBlockOptions {
  Index in = 0;     // channels that come in
  Index width = 0;  // channels of the 3×3 convolutions
  Index stride = 1;
  bool bottleneck = false;
};

// Around a shortcut either two 3×3 convolutions, or a bottleneck: 1×1 down to `width` channels, 3×3, and 1×1
// up to four times as many. x (N,H,W,in) -> (N,H/stride,W/stride,out)
template <class T, class D>
struct ResNetBlock {
  nn::Conv2d<T, D> conv1, conv2;
  nn::BatchNorm2d<T, D> bn1, bn2;
  std::optional<nn::Conv2d<T, D>> conv3;  // a bottleneck's
  std::optional<nn::BatchNorm2d<T, D>> bn3;
  std::optional<nn::Sequential<nn::Conv2d<T, D>, nn::BatchNorm2d<T, D>>> downsample;
  nn::ReLU relu;

  static Index out_channels(const ResNetBlockOptions& o) { return o.bottleneck ? 4 * o.width : o.width; }

  ResNetBlock(const ResNetBlockOptions& o, Rng& rng)
      : conv1(o.bottleneck ? one_by_one(o.in, o.width, 1) : three_by_three(o.in, o.width, o.stride), rng),
        conv2(three_by_three(o.width, o.width, o.bottleneck ? o.stride : 1), rng),
        bn1({.channels = o.width}),
        bn2({.channels = o.width}) {
    const Index out = out_channels(o);
    if (o.bottleneck) {
      conv3.emplace(one_by_one(o.width, out, 1), rng);
      bn3.emplace(nn::BatchNormOptions{.channels = out});
    }
    if (o.stride != 1 || o.in != out) {
      downsample.emplace(nn::Conv2d<T, D>(one_by_one(o.in, out, o.stride), rng),
                         nn::BatchNorm2d<T, D>({.channels = out}));
    }
  }

  void parts(auto&& visit) {
    visit("conv1", conv1);
    visit("bn1", bn1);
    visit("conv2", conv2);
    visit("bn2", bn2);
    visit("conv3", conv3);
    visit("bn3", bn3);
    visit("downsample", downsample);
    visit("relu", relu);
  }

  nn::BatchNorm2d<T, D>& last_norm() { return bn3 ? *bn3 : bn2; }

  Var<T, D> operator()(Var<T, D> x) {
    const auto shortcut = [&]() -> Var<T, D> {
      if (downsample) return nn::conv_norm(downsample->template get<0>(), downsample->template get<1>(), x);
      return std::move(x);  // which nothing else will read
    };
    const auto y = nn::conv_norm_relu(conv1, bn1, relu, x);
    if (!conv3) return nn::conv_norm_add_relu(conv2, bn2, relu, y, shortcut);
    return nn::conv_norm_add_relu(*conv3, *bn3, relu, nn::conv_norm_relu(conv2, bn2, relu, y), shortcut);
  }

 private:
  static nn::Conv2dOptions one_by_one(Index in, Index out, Index stride) {
    return {.in = in, .out = out, .kernel = 1, .stride = stride, .bias = false};
  }
  static nn::Conv2dOptions three_by_three(Index in, Index out, Index stride) {
    return {.in = in, .out = out, .kernel = 3, .stride = stride, .padding = 1, .bias = false};
  }
};

// x (N,H,W,3), made for 224×224 and good for 32×32 and more -> logits (N,classes)
template <class T = float, class D = Cpu>
struct ResNet {
  nn::Conv2d<T, D> conv1;
  nn::BatchNorm2d<T, D> bn1;
  std::vector<ResNetBlock<T, D>> layer1, layer2, layer3, layer4;
  nn::Linear<T, D> fc;
  nn::ReLU relu;
  nn::MaxPool2d maxpool{{.kernel = 3, .stride = 2, .padding = 1}};

  ResNet(const ResNetOptions& o, Rng& rng)
      : conv1({.in = 3, .out = 64, .kernel = 7, .stride = 2, .padding = 3, .bias = false}, rng),
        bn1({.channels = 64}),
        layer1(stage(0, o, rng)),
        layer2(stage(1, o, rng)),
        layer3(stage(2, o, rng)),
        layer4(stage(3, o, rng)),
        fc({.in = detail::resnet_plan(o.depth).bottleneck ? 2048 : 512, .out = o.classes}, rng) {
    nn::walk(*this, "", [&](const std::string&, auto& part) {
      using Part = std::remove_cvref_t<decltype(part)>;
      if constexpr (std::same_as<Part, nn::Conv2d<T, D>>) {
        // He et al. 2015, eq. 14: by the fan-out, which keeps the size of gradients.
        const Shape shape = part.weight.shape();
        const double deviation = std::sqrt(2.0 / static_cast<double>(nn::fans(shape).out));
        part.weight.value() = (Tensor<T, Cpu>::normal(shape, rng) * deviation).template to<D>();
      } else if constexpr (std::same_as<Part, ResNetBlock<T, D>>) {
        if (o.zero_init_residual) part.last_norm().weight.value().fill_(T(0));
      }
    });
  }

  void parts(auto&& visit) {
    visit("conv1", conv1);
    visit("bn1", bn1);
    visit("relu", relu);
    visit("maxpool", maxpool);
    visit("layer1", layer1);
    visit("layer2", layer2);
    visit("layer3", layer3);
    visit("layer4", layer4);
    visit("fc", fc);
  }

  Var<T, D> operator()(const Var<T, D>& x) {
    auto y = nn::conv_norm_relu_pool(conv1, bn1, relu, maxpool, x);  // (N,H/4,W/4,64)
    for (auto* layer : {&layer1, &layer2, &layer3, &layer4}) {
      for (auto& block : *layer) y = block(std::move(y));
    }
    return fc(global_avg_pool2d(y));
  }

 private:
  static std::vector<ResNetBlock<T, D>> stage(int index, const ResNetOptions& o, Rng& rng) {
    const auto plan = detail::resnet_plan(o.depth);
    ResNetBlockOptions block{.width = Index{64} << index, .bottleneck = plan.bottleneck};
    const Index out = ResNetBlock<T, D>::out_channels(block);
    block.in = index == 0 ? 64 : out / 2;
    block.stride = index == 0 ? 1 : 2;
    std::vector<ResNetBlock<T, D>> blocks;
    for (int i = 0; i < plan.blocks[static_cast<std::size_t>(index)]; ++i) {
      blocks.emplace_back(block, rng);
      block.in = out;
      block.stride = 1;
    }
    return blocks;
  }
};

}  // namespace tenon::models
