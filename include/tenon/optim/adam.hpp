// Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), in PyTorch's form:
//
//   m = beta1·m + (1 - beta1)·g,  v = beta2·v + (1 - beta2)·g²,
//   p = p - lr·m̂ / (√v̂ + eps),   m̂ = m/(1 - beta1^t),  v̂ = v/(1 - beta2^t)
//
// Adam adds weight_decay·p to the gradient g; AdamW multiplies p by 1 - lr·weight_decay instead.
#pragma once

#include <cmath>

#include "tenon/optim/parameters.hpp"

namespace tenon {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
};

template <class T, class D = Cpu>
class Adam : public OptimiserBase<T, D> {
  using Base = OptimiserBase<T, D>;
  using W = typename Base::W;

 public:
  // Throws ValueError for a setting out of range, an empty list, or a parameter that is not a leaf requiring
  // a gradient.
  Adam(const std::vector<ParamGroup<T, D>>& groups, const AdamOptions& options)
      : Adam("Adam", groups, options, false) {}
  Adam(const std::vector<Var<T, D>>& params, const AdamOptions& options) : Adam(one_group(params), options) {}

  // Moves every parameter that has a gradient; the others, and their buffers, stay as they are.
  void step() {
    const auto prepare = [&](std::size_t i, const W* grad, W* param) {
      const auto& shared = this->shared_[i];
      auto& buffer = buffers_[i];
      this->check_buffer(buffer.mean, shared);
      this->check_buffer(buffer.square, shared);
      const auto t = static_cast<double>(buffer.updates + 1);
      const AdamStep step{.lr = this->lr_ * shared.lr_scale,
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .weight_decay = shared.weight_decay,
                          .correction1 = 1 - std::pow(options_.beta1, t),
                          .correction2 = 1 - std::pow(options_.beta2, t),
                          .decoupled = decoupled_};
      return AdamUpdate<W>{step, grad, buffer.mean.data(), buffer.square.data(), param, shared.param.numel()};
    };
    this->update_all(prepare, [](const auto& updates) { Backend<D>::adam_update(updates); });
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      if (this->shared_[i].param.grad().defined()) ++buffers_[i].updates;
    }
  }

  // Visits everything a checkpoint needs: visit(name, x), x a Tensor&, Index& or double&.
  void state(auto&& visit) {
    this->shared_state(visit);
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      visit(text("mean.", i), buffers_[i].mean);
      visit(text("square.", i), buffers_[i].square);
      visit(text("updates.", i), buffers_[i].updates);
    }
  }

 protected:
  Adam(std::string_view name, const std::vector<ParamGroup<T, D>>& groups, const AdamOptions& options,
       bool decoupled)
      : Base(name, groups, options.lr, options.weight_decay), options_(options), decoupled_(decoupled) {
    for (const double beta : {options.beta1, options.beta2}) {
      require<ValueError>(beta >= 0 && beta < 1, name, ": beta is ", beta, ", expected 0 <= beta < 1");
    }
    require<ValueError>(options.eps >= 0, name, ": eps is ", options.eps, ", expected at least 0");
    for (std::size_t i = 0; i < this->shared_.size(); ++i) {
      buffers_.push_back({this->zeros_like(i), this->zeros_like(i)});
    }
  }

 private:
  struct Buffer {
    Tensor<W, D> mean, square;
    Index updates = 0;
  };

  AdamOptions options_;
  bool decoupled_;
  std::vector<Buffer> buffers_;
};

template <class T, class D = Cpu>
class AdamW : public Adam<T, D> {
 public:
  AdamW(const std::vector<ParamGroup<T, D>>& groups, const AdamWOptions& options)
      : Adam<T, D>("AdamW", groups,
                   {options.lr, options.beta1, options.beta2, options.eps, options.weight_decay}, true) {}
  AdamW(const std::vector<Var<T, D>>& params, const AdamWOptions& options)
      : AdamW(one_group(params), options) {}
};

template <class T, class D>
Adam(const std::vector<ParamGroup<T, D>>&, const AdamOptions&) -> Adam<T, D>;
template <class T, class D>
Adam(const std::vector<Var<T, D>>&, const AdamOptions&) -> Adam<T, D>;
template <class T, class D>
AdamW(const std::vector<ParamGroup<T, D>>&, const AdamWOptions&) -> AdamW<T, D>;
template <class T, class D>
AdamW(const std::vector<Var<T, D>>&, const AdamWOptions&) -> AdamW<T, D>;

}  // namespace tenon
