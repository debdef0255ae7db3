// LeNet, three times: LeCun et al. 1998's for 32×32 pictures, and the pair of the scene-recognition report, a
// LeNet with three extra blocks and its residual twin, which differ only in the additions.
#pragma once

#include "tenon/nn/nn.hpp"

namespace tenon::models {

struct LeNet5Options {
  Index channels = 3;
  Index classes = 10;
};

// conv 6@5×5, pool, conv 16@5×5, pool, 120, 84, classes; ReLU and maximum pooling as is usual today.
// x (N,32,32,channels) -> logits (N,classes)
template <class T = float, class D = Cpu>
struct LeNet5 {
  nn::Conv2d<T, D> conv1, conv2;
  nn::Linear<T, D> fc1, fc2, fc3;
  nn::MaxPool2d pool{{.kernel = 2}};
  nn::ReLU relu;

  LeNet5(const LeNet5Options& o, Rng& rng)
      : conv1({.in = o.channels, .out = 6, .kernel = 5}, rng), conv2({.in = 6, .out = 16, .kernel = 5}, rng),
        fc1({.in = 400, .out = 120}, rng), fc2({.in = 120, .out = 84}, rng), fc3({.in = 84, .out = o.classes}, rng) {}

  void parts(auto&& visit) {
    visit("conv1", conv1);
    visit("conv2", conv2);
    visit("fc1", fc1);
    visit("fc2", fc2);
    visit("fc3", fc3);
    visit("pool", pool);
    visit("relu", relu);
  }

  Var<T, D> operator()(const Var<T, D>& x) {
    auto y = nn::conv_relu_pool(conv1, relu, pool, x);  // (N,14,14,6)
    y = nn::conv_relu_pool(conv2, relu, pool, y);       // (N,5,5,16)
    return fc3(relu(fc2(relu(fc1(flatten(y))))));
  }
};

// conv 3×3 of equal width, BN and ReLU; the twin adds its input before the ReLU.
template <class T, class D>
struct TwinBlock {
  nn::Conv2d<T, D> conv;
  nn::BatchNorm2d<T, D> bn;
  nn::ReLU relu;
  bool residual;

  TwinBlock(Index channels, bool add_input, Rng& rng)
      : conv({.in = channels, .out = channels, .kernel = 3, .padding = 1}, rng), bn({.channels = channels}),
        residual(add_input) {}

  void parts(auto&& visit) {
    visit("conv", conv);
    visit("bn", bn);
    visit("relu", relu);
  }

  Var<T, D> operator()(const Var<T, D>& x) {
    if (residual) return nn::conv_norm_add_relu(conv, bn, relu, x, [&] { return x; });
    return nn::conv_norm_relu(conv, bn, relu, x);
  }
};

struct LeNetTwinOptions {
  bool residual = true;  // false: the report's plain LeNet
  Index classes = 10;
};

// The report's network. x (N,32,32,3) -> logits (N,classes)
template <class T = float, class D = Cpu>
struct LeNetTwin {
  TwinBlock<T, D> block1;
  nn::Conv2d<T, D> conv1;
  TwinBlock<T, D> block2;
  nn::Conv2d<T, D> conv2;
  TwinBlock<T, D> block3;
  nn::Linear<T, D> fc1, fc2, fc3;
  nn::MaxPool2d pool{{.kernel = 2}};
  nn::ReLU relu;

  LeNetTwin(const LeNetTwinOptions& o, Rng& rng)
      : block1(3, o.residual, rng), conv1({.in = 3, .out = 6, .kernel = 5}, rng), block2(6, o.residual, rng),
        conv2({.in = 6, .out = 16, .kernel = 5}, rng), block3(16, o.residual, rng), fc1({.in = 400, .out = 120}, rng),
        fc2({.in = 120, .out = 84}, rng), fc3({.in = 84, .out = o.classes}, rng) {}

  void parts(auto&& visit) {
    visit("block1", block1);
    visit("conv1", conv1);
    visit("block2", block2);
    visit("conv2", conv2);
    visit("block3", block3);
    visit("fc1", fc1);
    visit("fc2", fc2);
    visit("fc3", fc3);
    visit("pool", pool);
    visit("relu", relu);
  }

  Var<T, D> operator()(const Var<T, D>& x) {
    auto y = nn::conv_relu_pool(conv1, relu, pool, block1(x));  // (N,14,14,6)
    y = nn::conv_relu_pool(conv2, relu, pool, block2(y));       // (N,5,5,16)
    return fc3(relu(fc2(relu(fc1(flatten(block3(y)))))));
  }
};

}  // namespace tenon::models
