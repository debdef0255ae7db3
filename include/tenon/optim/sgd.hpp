// Stochastic gradient descent with momentum, in PyTorch's form (Sutskever et al. 2013 scale by lr inside v):
//
//   g = grad + weight_decay·p,  v = momentum·v + (1 - dampening)·g,  p = p - lr·v
//
// v starts as the first g, without dampening. With nesterov the step is g + momentum·v.
#pragma once

#include "tenon/optim/parameters.hpp"

namespace tenon {

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
};

template <class T, class D = Cpu>
class Sgd : public OptimiserBase<T, D> {
  using Base = OptimiserBase<T, D>;
  using W = typename Base::W;

 public:
  // Throws ValueError for a setting out of range, an empty list, or a parameter that is not a leaf requiring
  // a gradient.
  Sgd(const std::vector<ParamGroup<T, D>>& groups, const SgdOptions& options)
      : Base("Sgd", groups, options.lr, options.weight_decay),
        options_(options),
        buffers_(this->shared_.size()) {
    set_momentum(options.momentum);
  }
  Sgd(const std::vector<Var<T, D>>& params, const SgdOptions& options) : Sgd(one_group(params), options) {}

  double momentum() const { return options_.momentum; }

  void set_momentum(double momentum) {
    require<ValueError>(momentum >= 0, "Sgd: momentum is ", momentum, ", expected at least 0");
    require<ValueError>(!options_.nesterov || (momentum > 0 && options_.dampening == 0),
                        "Sgd: nesterov needs momentum above 0 and no dampening, got ", momentum, " and ",
                        options_.dampening);
    options_.momentum = momentum;
    if (momentum == 0) return;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      if (!buffers_[i].velocity.defined()) buffers_[i].velocity = this->zeros_like(i);
    }
  }

  // Moves every parameter that has a gradient; the others, and their buffers, stay as they are.
  void step() {
    const bool with_momentum = options_.momentum != 0;
    const auto prepare = [&](std::size_t i, const W* grad, W* param) {
      const auto& shared = this->shared_[i];
      auto& buffer = buffers_[i];
      if (with_momentum) this->check_buffer(buffer.velocity, shared);
      const SgdStep step{.lr = this->lr_ * shared.lr_scale,
                         .momentum = options_.momentum,
                         .dampening = options_.dampening,
                         .weight_decay = shared.weight_decay,
                         .nesterov = options_.nesterov,
                         .first = buffer.updates == 0};
      return SgdUpdate<W>{step, grad, buffer.velocity.data(), param, shared.param.numel()};
    };
    this->update_all(prepare, [](const auto& updates) { Backend<D>::sgd_update(updates); });
    for (std::size_t i = 0; with_momentum && i < buffers_.size(); ++i) {
      if (this->shared_[i].param.grad().defined()) ++buffers_[i].updates;
    }
  }

  // Visits everything a checkpoint needs: visit(name, x), x a Tensor&, Index& or double&.
  void state(auto&& visit) {
    this->shared_state(visit);
    visit("momentum", options_.momentum);
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      if (!buffers_[i].velocity.defined()) continue;
      visit(text("velocity.", i), buffers_[i].velocity);
      visit(text("updates.", i), buffers_[i].updates);
    }
  }

 private:
  struct Buffer {
    Tensor<W, D> velocity{};
    Index updates = 0;  // of the velocity
  };

  SgdOptions options_;
  std::vector<Buffer> buffers_;
};

template <class T, class D>
Sgd(const std::vector<ParamGroup<T, D>>&, const SgdOptions&) -> Sgd<T, D>;
template <class T, class D>
Sgd(const std::vector<Var<T, D>>&, const SgdOptions&) -> Sgd<T, D>;

}  // namespace tenon
