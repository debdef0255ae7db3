// Every differentiable operation, once: a name, inputs of odd shapes that keep away from kinks and ties, and
// the function. Gradient checks, the comparison of devices and the timings all run over this list.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tenon/autograd/autograd.hpp"
#include "tenon/nn/loss.hpp"

namespace tenon::testing {

template <class T, class D>
using Vars = std::vector<Var<T, D>>;

template <class T, class D>
struct OpCase {
  std::string name;
  std::vector<Tensor<double>> inputs;  // to be converted to T on D
  std::function<Var<T, D>(const Vars<T, D>&)> run;
};

template <class T, class D>
using OpCases = std::vector<OpCase<T, D>>;

// Uniform in [low, high).
inline Tensor<double> drawn(const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  Rng rng(seed);
  return Tensor<double>::uniform(shape, rng, low, high);
}

// Of either sign, with magnitudes from 0.2 to 1.2: away from a kink at 0.
inline Tensor<double> away_from_zero(const Shape& shape, std::uint64_t seed) {
  auto x = drawn(shape, seed, -1, 1);
  for (double& v : x.span()) v += v < 0 ? -0.2 : 0.2;
  return x;
}

// All different by at least 0.05, in random order, around 0: no ties for a maximum.
inline Tensor<double> distinct(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed);
  Tensor<double> x(shape);
  const auto order = rng.permutation(shape.numel());
  for (std::size_t i = 0; i < order.size(); ++i) {
    x.span()[i] = 0.05 * (static_cast<double>(order[i]) - static_cast<double>(shape.numel() - 1) / 2 + 0.3);
  }
  return x;
}

template <class T, class D>
Tensor<T, D> on_device(const Tensor<double>& x) {
  return x.template cast<T>().template to<D>();
}

// The inputs of a case as leaves on the device.
template <class T, class D>
Vars<T, D> leaves(const OpCase<T, D>& op) {
  Vars<T, D> out;
  for (const auto& x : op.inputs) {
    out.emplace_back(on_device<T, D>(x.clone()), VarOptions{.requires_grad = true});
  }
  return out;
}

// ---- arithmetic and elementary functions ------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> arithmetic_ops() {
  using V = const Vars<T, D>&;
  const auto a = drawn({3, 1, 5}, 1), b = drawn({4, 1}, 2), positive = drawn({3, 1, 5}, 3, 0.3, 2);
  const auto far = away_from_zero({4, 1}, 4), same = drawn({3, 1, 5}, 5), signs = away_from_zero({3, 5}, 6);
  const Shape row{5};
  return {
      {"add", {a, same}, [](V x) { return x[0] + x[1]; }},
      {"add.broadcast", {a, b}, [](V x) { return x[0] + x[1]; }},
      {"add.row", {drawn({2, 3, 5}, 7), drawn(row, 8)}, [](V x) { return x[0] + x[1]; }},
      {"add.scalar_operand", {a, drawn({}, 9)}, [](V x) { return x[0] + x[1]; }},
      {"add.itself", {a}, [](V x) { return x[0] + x[0]; }},
      {"subtract", {a, same}, [](V x) { return x[0] - x[1]; }},
      {"subtract.broadcast", {b, a}, [](V x) { return x[0] - x[1]; }},
      {"multiply", {a, same}, [](V x) { return x[0] * x[1]; }},
      {"multiply.broadcast", {a, b}, [](V x) { return x[0] * x[1]; }},
      {"multiply.itself", {a}, [](V x) { return x[0] * x[0]; }},
      {"multiply.constant", {a}, [c = on_device<T, D>(b)](V x) { return x[0] * c; }},
      {"divide", {a, positive}, [](V x) { return x[0] / x[1]; }},
      {"divide.broadcast", {a, far}, [](V x) { return x[0] / x[1]; }},
      {"maximum",
       {distinct({3, 5}, 10), drawn({3, 5}, 11, 0.01, 0.03)},
       [](V x) { return maximum(x[0], x[1]); }},
      {"maximum.broadcast",
       {distinct({3, 5}, 12), drawn(row, 13, 0.01, 0.03)},
       [](V x) { return maximum(x[0], x[1]); }},
      {"minimum",
       {distinct({3, 5}, 14), drawn({3, 5}, 15, 0.01, 0.03)},
       [](V x) { return minimum(x[0], x[1]); }},
      {"minimum.broadcast",
       {distinct({3, 5}, 16), drawn({3, 1}, 17, 0.01, 0.03)},
       [](V x) { return minimum(x[0], x[1]); }},
      {"add.number", {a}, [](V x) { return 1.5 + (x[0] + 2); }},
      {"subtract.number", {a}, [](V x) { return 1.5 - (x[0] - 2); }},
      {"multiply.number", {a}, [](V x) { return 3 * (x[0] * 0.5); }},
      {"divide.number", {positive}, [](V x) { return 2 / (x[0] / 1.5); }},
      {"negate", {a}, [](V x) { return -x[0]; }},
      {"abs", {signs}, [](V x) { return abs(x[0]); }},
      {"square", {a}, [](V x) { return square(x[0]); }},
      {"sqrt", {positive}, [](V x) { return sqrt(x[0]); }},
      {"exp", {a}, [](V x) { return exp(x[0]); }},
      {"log", {positive}, [](V x) { return log(x[0]); }},
      {"sin", {a}, [](V x) { return sin(x[0]); }},
      {"cos", {a}, [](V x) { return cos(x[0]); }},
      {"pow", {positive}, [](V x) { return pow(x[0], 2.5); }},
      {"pow.negative_base", {signs}, [](V x) { return pow(x[0], 3); }},
      {"clamp", {distinct({5, 7}, 18)}, [](V x) { return clamp(x[0], -0.53, 0.58); }},
  };
}

// ---- activations ------------------------------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> activation_ops() {
  using V = const Vars<T, D>&;
  const auto x0 = drawn({3, 7}, 20, -2, 2), signs = away_from_zero({3, 7}, 21),
             cube = drawn({2, 3, 5}, 22, -2, 2);
  return {
      {"relu", {signs}, [](V x) { return relu(x[0]); }},
      {"relu.shared_gradient", {signs}, [](V x) { return relu(x[0]) + relu(x[0]) + x[0]; }},
      {"leaky_relu", {signs}, [](V x) { return leaky_relu(x[0], 0.1); }},
      {"sigmoid", {x0}, [](V x) { return sigmoid(x[0]); }},
      {"tanh", {x0}, [](V x) { return tanh(x[0]); }},
      {"softplus", {x0}, [](V x) { return softplus(x[0]); }},
      {"gelu", {x0}, [](V x) { return gelu(x[0]); }},
      {"gelu.tanh", {x0}, [](V x) { return gelu(x[0], GeluForm::tanh); }},
      {"silu", {x0}, [](V x) { return silu(x[0]); }},
      {"softmax", {x0}, [](V x) { return softmax(x[0]); }},
      {"softmax.axis0", {cube}, [](V x) { return softmax(x[0], 0); }},
      {"softmax.axis1", {cube}, [](V x) { return softmax(x[0], 1); }},
      {"log_softmax", {x0}, [](V x) { return log_softmax(x[0]); }},
      {"log_softmax.axis0", {cube}, [](V x) { return log_softmax(x[0], 0); }},
      {"log_softmax.axis-2", {cube}, [](V x) { return log_softmax(x[0], -2); }},
      {"dropout",
       {x0},
       [](V x) {
         Rng rng(5);
         return dropout(x[0], 0.4, rng);
       }},
      {"dropout.none",
       {x0},
       [](V x) {
         Rng rng(5);
         return dropout(x[0], 0, rng);
       }},
  };
}

// ---- layout and reductions --------------------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> layout_ops() {
  using V = const Vars<T, D>&;
  const auto cube = drawn({2, 3, 5}, 30), four = drawn({2, 3, 1, 5}, 31), apart = distinct({2, 3, 5}, 32);
  return {
      {"reshape",
       {cube},
       [](V x) {
         return reshape(x[0], {5, -1});
       }},
      {"flatten", {cube}, [](V x) { return flatten(x[0]); }},
      {"permute",
       {cube},
       [](V x) {
         return permute(x[0], {2, 0, 1});
       }},
      {"permute.negative",
       {four},
       [](V x) {
         return permute(x[0], {-1, 1, 2, 0});
       }},
      {"transpose", {cube}, [](V x) { return transpose(x[0]); }},
      {"slice",
       {cube},
       [](V x) {
         return slice(x[0], 1, {1, 3});
       }},
      {"slice.negative",
       {cube},
       [](V x) {
         return slice(x[0], -1, {-4, -1});
       }},
      {"slice.overlap",
       {cube},
       [](V x) {
         return slice(x[0], 2, {0, 3}) * slice(x[0], 2, {1, 4});
       }},
      {"concat", {cube, drawn({2, 1, 5}, 33), drawn({2, 2, 5}, 34)}, [](V x) { return concat(x, 1); }},
      {"concat.last", {cube, drawn({2, 3, 2}, 35)}, [](V x) { return concat(x, -1); }},
      {"concat.itself",
       {cube},
       [](V x) {
         return concat(std::vector{x[0], x[0]}, 0);
       }},
      {"pad",
       {cube},
       [](V x) {
         return pad(x[0], {{0, 1}, {2, 0}, {1, 3}}, 0.5);
       }},
      {"broadcast_to",
       {four},
       [](V x) {
         return broadcast_to(x[0], {4, 2, 3, 2, 5});
       }},
      {"sum", {cube}, [](V x) { return sum(x[0]); }},
      {"sum.axis", {cube}, [](V x) { return sum(x[0], {.axes = {1}}); }},
      {"sum.axes_keepdim",
       {cube},
       [](V x) {
         return sum(x[0], {.axes = {0, -1}, .keepdim = true});
       }},
      {"mean", {cube}, [](V x) { return mean(x[0]); }},
      {"mean.axes",
       {four},
       [](V x) {
         return mean(x[0], {.axes = {1, 2}});
       }},
      {"max", {apart}, [](V x) { return max(x[0]); }},
      {"max.axis", {apart}, [](V x) { return max(x[0], {.axes = {1}}); }},
      {"max.axes",
       {apart},
       [](V x) {
         return max(x[0], {.axes = {0, 2}});
       }},
      {"min", {apart}, [](V x) { return min(x[0]); }},
      {"min.axis", {apart}, [](V x) { return min(x[0], {.axes = {-1}, .keepdim = true}); }},
  };
}

// ---- products of matrices ---------------------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> matmul_ops() {
  using V = const Vars<T, D>&;
  const auto a = drawn({3, 5}, 40), b = drawn({5, 7}, 41), vector = drawn({5}, 42);
  const auto batch_a = drawn({2, 3, 5}, 43), batch_b = drawn({2, 5, 4}, 44);
  return {
      {"matmul", {a, b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.vector_right", {a, vector}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.vector_left", {vector, b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.vectors", {vector, drawn({5}, 45)}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.batch", {batch_a, batch_b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.batch_one_left", {a, batch_b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.batch_one_right", {batch_a, b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.batch_vector", {batch_a, vector}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.vector_batch", {vector, batch_b}, [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.batch_broadcast",
       {drawn({2, 1, 3, 5}, 46), drawn({3, 5, 2}, 47)},
       [](V x) { return matmul(x[0], x[1]); }},
      {"matmul.constant", {a}, [c = on_device<T, D>(b)](V x) { return matmul(x[0], c); }},
      {"linear", {a, drawn({4, 5}, 48), drawn({4}, 49)}, [](V x) { return linear(x[0], x[1], x[2]); }},
      {"linear.no_bias", {batch_a, drawn({4, 5}, 50)}, [](V x) { return linear(x[0], x[1], {}); }},
      {"linear.vector",
       {vector, drawn({4, 5}, 51), drawn({4}, 52)},
       [](V x) { return linear(x[0], x[1], x[2]); }},
  };
}

// ---- convolution ------------------------------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> conv_ops() {
  using V = const Vars<T, D>&;
  OpCases<T, D> cases;
  std::uint64_t seed = 60;
  const auto add = [&](std::string name, Shape x, Shape w, Conv2dParameters p, bool bias) {
    std::vector<Tensor<double>> inputs{drawn(x, seed + 1), drawn(w, seed + 2)};
    if (bias) inputs.push_back(drawn({w[0]}, seed + 3));
    seed += 10;
    cases.push_back(
        {"conv2d." + name, inputs, [=](V v) { return conv2d(v[0], v[1], bias ? v[2] : Var<T, D>(), p); }});
  };
  add("plain", {2, 5, 6, 3}, {4, 3, 3, 3}, {}, true);
  add("padding", {2, 5, 4, 3}, {4, 3, 3, 3}, {.padding = 1}, false);
  add("stride", {2, 7, 6, 2}, {3, 3, 3, 2}, {.stride = 2, .padding = 1}, true);
  add("dilation", {1, 7, 8, 2}, {3, 3, 3, 2}, {.padding = 2, .dilation = 2}, true);
  add("stride_dilation", {1, 8, 9, 2}, {3, 3, 2, 2}, {.stride = 3, .padding = 1, .dilation = 2}, false);
  add("groups", {2, 5, 5, 4}, {6, 3, 3, 2}, {.padding = 1, .groups = 2}, true);
  add("depthwise", {2, 5, 6, 5}, {5, 3, 3, 1}, {.stride = 2, .padding = 1, .groups = 5}, true);
  add("depthwise_multiplier", {1, 4, 5, 3}, {6, 3, 3, 1}, {.padding = 1, .groups = 3}, false);
  add("pointwise", {2, 3, 4, 5}, {7, 1, 1, 5}, {}, true);
  add("pointwise_stride", {2, 5, 4, 3}, {4, 1, 1, 3}, {.stride = 2}, false);
  add("asymmetric", {1, 7, 6, 3}, {2, 1, 4, 3}, {.stride = {2, 1}, .padding = {0, 2}}, true);
  add("asymmetric_dilation", {1, 7, 8, 2}, {3, 3, 2, 2}, {.stride = {1, 2}, .dilation = {2, 3}}, true);
  add("whole_picture", {3, 4, 5, 2}, {4, 4, 5, 2}, {}, true);
  return cases;
}

namespace detail {

// Training-mode normalisation of x[0] by scale x[1] and shift x[2], with fresh running statistics.
template <class T, class D>
Var<T, D> normalised(const Vars<T, D>& x, const std::type_identity_t<AfterNorm<T, D>>& after) {
  auto mean = Tensor<T, D>::zeros(x[1].shape()), var = Tensor<T, D>::ones(x[1].shape());
  return batch_norm_train(x[0], x[1], x[2], mean, var, {}, after);
}

}  // namespace detail

// ---- pooling, resampling, normalisation -------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> picture_ops() {
  using V = const Vars<T, D>&;
  const auto apart = distinct({2, 5, 7, 3}, 200), x0 = drawn({2, 5, 7, 3}, 201),
             small = drawn({2, 3, 4, 2}, 202);
  const auto gamma = drawn({3}, 203, 0.5, 1.5), beta = drawn({3}, 204), other = drawn({2, 5, 7, 3}, 208);
  const Pool2dParameters pool3{.kernel = 3, .stride = 2, .padding = 1},
      uneven{.kernel = {1, 3}, .stride = {2, 1}};
  const auto running_mean = on_device<T, D>(drawn({3}, 206)),
             running_var = on_device<T, D>(drawn({3}, 207, 0.5, 1.5));
  return {
      {"max_pool2d", {apart}, [](V x) { return max_pool2d(x[0], {.kernel = 2}); }},
      {"max_pool2d.overlap", {apart}, [=](V x) { return max_pool2d(x[0], pool3); }},
      {"max_pool2d.uneven", {apart}, [=](V x) { return max_pool2d(x[0], uneven); }},
      {"max_pool2d.gaps", {apart}, [](V x) { return max_pool2d(x[0], {.kernel = 1, .stride = 2}); }},
      {"max_pool2d.wide",
       {distinct({1, 4, 5, 19}, 213)},
       [](V x) { return max_pool2d(x[0], {.kernel = 2}); }},
      {"avg_pool2d", {x0}, [](V x) { return avg_pool2d(x[0], {.kernel = 2}); }},
      {"avg_pool2d.overlap", {x0}, [=](V x) { return avg_pool2d(x[0], pool3); }},
      {"avg_pool2d.uneven", {x0}, [=](V x) { return avg_pool2d(x[0], uneven); }},
      {"adaptive_avg_pool2d",
       {x0},
       [](V x) {
         return adaptive_avg_pool2d(x[0], {2, 3});
       }},
      {"adaptive_avg_pool2d.larger",
       {small},
       [](V x) {
         return adaptive_avg_pool2d(x[0], {5, 7});
       }},
      {"global_avg_pool2d", {x0}, [](V x) { return global_avg_pool2d(x[0]); }},
      {"upsample_nearest",
       {small},
       [](V x) {
         return upsample_nearest(x[0], {6, 8});
       }},
      {"upsample_nearest.uneven",
       {small},
       [](V x) {
         return upsample_nearest(x[0], {5, 3});
       }},
      {"upsample_bilinear",
       {small},
       [](V x) {
         return upsample_bilinear(x[0], {6, 8});
       }},
      {"upsample_bilinear.smaller",
       {x0},
       [](V x) {
         return upsample_bilinear(x[0], {3, 4});
       }},
      {"upsample_bilinear.corners",
       {small},
       [](V x) {
         return upsample_bilinear(x[0], {5, 9}, {.align_corners = true});
       }},
      {"batch_norm.train",
       {x0, gamma, beta},
       [](V x) {
         auto mean = Tensor<T, D>::zeros({3}), var = Tensor<T, D>::ones({3});
         return batch_norm_train(x[0], x[1], x[2], mean, var, {});
       }},
      {"batch_norm.train_rows",
       {drawn({7, 3}, 205), gamma, beta},
       [](V x) {
         auto mean = Tensor<T, D>::zeros({3}), var = Tensor<T, D>::ones({3});
         return batch_norm_train(x[0], x[1], x[2], mean, var, {.eps = 0.1});
       }},
      {"batch_norm.eval",
       {x0, gamma, beta},
       [=](V x) { return batch_norm_eval(x[0], x[1], x[2], running_mean, running_var, {}); }},
      {"batch_norm.train_relu", {x0, gamma, beta}, [](V x) { return detail::normalised(x, {.relu = true}); }},
      {"batch_norm.train_add",
       {x0, gamma, beta, other},
       [](V x) { return detail::normalised(x, {.residual = x[3]}); }},
      {"batch_norm.train_add_relu",
       {x0, gamma, beta, other},
       [](V x) { return detail::normalised(x, {.residual = x[3], .relu = true}); }},
      {"batch_norm.train_add_itself_relu",
       {x0, gamma, beta},
       [](V x) { return detail::normalised(x, {.residual = x[0], .relu = true}); }},
      {"batch_norm.train_add_constant_relu",
       {x0, gamma, beta},
       [c = on_device<T, D>(other)](V x) { return detail::normalised(x, {.residual = c, .relu = true}); }},
      {"batch_norm.train_add_relu_wide",
       {drawn({5, 37}, 209), drawn({37}, 210, 0.5, 1.5), drawn({37}, 211), drawn({5, 37}, 212)},
       [](V x) { return detail::normalised(x, {.residual = x[3], .relu = true}); }},
      {"batch_norm.train_relu_used_twice",
       {x0, gamma, beta},
       [](V x) {
         const auto y = detail::normalised(x, {.relu = true});
         return y * y + relu(y + x[0]);
       }},
      {"batch_norm.eval_relu",
       {x0, gamma, beta},
       [=](V x) { return batch_norm_eval(x[0], x[1], x[2], running_mean, running_var, {}, {.relu = true}); }},
      {"batch_norm.eval_add_relu",
       {x0, gamma, beta, other},
       [=](V x) {
         return batch_norm_eval(x[0], x[1], x[2], running_mean, running_var, {},
                                {.residual = x[3], .relu = true});
       }},
  };
}

// ---- losses -----------------------------------------------------------------------------------------------

template <class T, class D>
OpCases<T, D> loss_ops() {
  using V = const Vars<T, D>&;
  using nn::Reduction;
  const auto logits = drawn({5, 7}, 300, -2, 2), other = drawn({5, 7}, 301),
             share = drawn({5, 7}, 302, 0.1, 1);
  const nn::Labels labels({5}, {3, 0, 6, 6, 1});
  const auto soft = on_device<T, D>(share / sum(share, {.axes = {1}, .keepdim = true}));
  const auto unequal = on_device<T, D>(share);
  const auto chances = on_device<T, D>(drawn({5, 7}, 303, 0, 1));
  return {
      {"cross_entropy", {logits}, [=](V x) { return nn::cross_entropy(x[0], labels); }},
      {"cross_entropy.sum",
       {logits},
       [=](V x) { return nn::cross_entropy(x[0], labels, {.reduction = Reduction::sum}); }},
      {"cross_entropy.none",
       {logits},
       [=](V x) { return nn::cross_entropy(x[0], labels, {.reduction = Reduction::none}); }},
      {"cross_entropy.smoothing",
       {logits},
       [=](V x) { return nn::cross_entropy(x[0], labels, {.label_smoothing = 0.1}); }},
      {"cross_entropy.soft", {logits}, [=](V x) { return nn::cross_entropy(x[0], soft); }},
      {"cross_entropy.soft_smoothing",
       {logits},
       [=](V x) { return nn::cross_entropy(x[0], soft, {.label_smoothing = 0.2}); }},
      {"cross_entropy.weights",
       {logits},
       [=](V x) { return nn::cross_entropy(x[0], unequal, {.reduction = Reduction::none}); }},
      {"nll_loss", {logits}, [=](V x) { return nn::nll_loss(log_softmax(x[0]), labels); }},
      {"mse_loss", {logits, other}, [](V x) { return nn::mse_loss(x[0], x[1]); }},
      {"mse_loss.none", {logits, other}, [](V x) { return nn::mse_loss(x[0], x[1], Reduction::none); }},
      {"bce_with_logits", {logits}, [=](V x) { return nn::bce_with_logits(x[0], chances); }},
      {"bce_with_logits.sum",
       {logits},
       [=](V x) { return nn::bce_with_logits(x[0], chances, Reduction::sum); }},
  };
}

// All of them.
template <class T, class D>
OpCases<T, D> op_cases() {
  OpCases<T, D> all;
  for (auto&& part : {arithmetic_ops<T, D>(), activation_ops<T, D>(), layout_ops<T, D>(), matmul_ops<T, D>(),
                      conv_ops<T, D>(), picture_ops<T, D>(), loss_ops<T, D>()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace tenon::testing
