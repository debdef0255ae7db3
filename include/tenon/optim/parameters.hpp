// What an optimiser trains: a list of parameters, or groups of them with settings of their own.
//
//   Sgd opt(parameters, {.lr = 0.1, .momentum = 0.9});
//   Sgd opt(no_decay_for_vectors(parameters, 5e-4), {.lr = 0.1, .momentum = 0.9});
#pragma once

#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tenon/autograd/var.hpp"

namespace tenon {

template <class T, class D = Cpu>
struct ParamGroup {
  std::vector<Var<T, D>> params;
  double lr_scale = 1;                   // times the optimiser's learning rate
  std::optional<double> weight_decay{};  // in place of the optimiser's
};

// Two groups: weights (two or more dimensions) with the given decay; biases and the scales and shifts of
// normalisation (one dimension) without, as He et al. 2019, "Bag of tricks", train. An empty group is left
// out.
template <class T, class D>
std::vector<ParamGroup<T, D>> no_decay_for_vectors(const std::vector<Var<T, D>>& params,
                                                   double weight_decay) {
  ParamGroup<T, D> weights{.params = {}, .weight_decay = weight_decay};
  ParamGroup<T, D> vectors{.params = {}, .weight_decay = 0.0};
  for (const auto& p : params) (p.rank() >= 2 ? weights : vectors).params.push_back(p);
  std::vector<ParamGroup<T, D>> groups;
  if (!weights.params.empty()) groups.push_back(std::move(weights));
  if (!vectors.params.empty()) groups.push_back(std::move(vectors));
  return groups;
}

// One group with everything.
template <class T, class D>
std::vector<ParamGroup<T, D>> one_group(std::vector<Var<T, D>> params) {
  return {ParamGroup<T, D>{.params = std::move(params)}};
}

// The part that all optimisers share. `Slot` is what one keeps for each parameter: constructed from the
// parameter and its group's settings, see Sgd and Adam.
//
// A parameter of a 16-bit type gets a master copy in float: the steps add up there and the parameter is the
// rounded master (Micikevicius et al. 2018).
template <class T, class D>
class OptimiserBase {
 public:
  // Forgets all gradients.
  void zero_grad() {
    for (auto& s : shared_) s.param.zero_grad();
  }

  double lr() const { return lr_; }

  // Throws ValueError unless lr is a number >= 0.
  void set_lr(double lr) {
    require<ValueError>(lr >= 0, name_, ": lr is ", lr, ", expected at least 0");
    lr_ = lr;
  }

  // step() divides the gradients by this first: see LossScaler.
  void set_grad_scale(double scale) { grad_scale_ = scale; }

  // All parameters in order, group after group.
  std::vector<Var<T, D>> parameters() const {
    std::vector<Var<T, D>> out;
    for (const auto& s : shared_) out.push_back(s.param);
    return out;
  }

 protected:
  using W = Wide<T>;
  static constexpr bool has_master = !std::same_as<T, W>;

  struct Shared {
    Var<T, D> param;
    double lr_scale, weight_decay;
    Tensor<W, D> master{};  // only with has_master
  };

  OptimiserBase(std::string_view name, const std::vector<ParamGroup<T, D>>& groups, double lr,
                double weight_decay)
      : name_(name) {
    set_lr(lr);
    std::unordered_set<const void*> seen;
    for (const auto& group : groups) {
      const double decay = group.weight_decay.value_or(weight_decay);
      require<ValueError>(decay >= 0, name_, ": weight_decay is ", decay, ", expected at least 0");
      require<ValueError>(group.lr_scale >= 0, name_, ": lr_scale is ", group.lr_scale,
                          ", expected at least 0");
      for (const auto& p : group.params) {
        const std::size_t which = shared_.size();
        require<ValueError>(p.defined(), name_, ": parameter ", which, " has no value");
        require<ValueError>(p.requires_grad(), name_, ": parameter ", which, " of shape ", p.shape(),
                            " does not require a gradient; leave it out or set requires_grad");
        const auto& node = p.node_pointer();
        require<ValueError>(!node->step && !node->used, name_, ": parameter ", which, " of shape ", p.shape(),
                            " is the result of an operation, not a leaf");
        require<ValueError>(seen.insert(node.get()).second, name_, ": parameter ", which, " of shape ",
                            p.shape(), " is given twice");
        shared_.push_back({p, group.lr_scale, decay});
        if constexpr (has_master) shared_.back().master = p.value().template cast<W>();
      }
    }
    require<ValueError>(!shared_.empty(), name_, ": the list of parameters is empty");
  }

  // A buffer of zeros for parameter i.
  Tensor<W, D> zeros_like(std::size_t i) const { return Tensor<W, D>::zeros(shared_[i].param.shape()); }

  // Steps all parameters that have a gradient in one pass. prepare(i, gradient, parameter) gives the update
  // of the i-th from pointers to its numbers, in W; run(updates) is the backend's loop over all of them.
  template <class Prepare, class Run>
  void update_all(const Prepare& prepare, const Run& run) {
    std::vector<decltype(prepare(std::size_t{}, static_cast<const W*>(nullptr), static_cast<W*>(nullptr)))>
        updates;
    std::vector<Tensor<W, D>> grads;  // keeps what the updates point to
    for (std::size_t i = 0; i < shared_.size(); ++i) {
      Shared& s = shared_[i];
      if (!s.param.grad().defined()) continue;
      if constexpr (has_master) {
        require<ShapeError>(s.master.shape() == s.param.shape(), name_, ": master copy of shape ",
                            s.master.shape(), " for a parameter of shape ", s.param.shape());
      }
      grads.push_back(s.param.grad().template cast<W>());
      if (grad_scale_ != 1) grads.back() = grads.back() / grad_scale_;
      const W* grad = std::as_const(grads.back()).data();
      if constexpr (has_master)
        updates.push_back(prepare(i, grad, s.master.data()));
      else
        updates.push_back(prepare(i, grad, s.param.value().data()));
    }
    run(updates);
    if constexpr (has_master) {
      for (Shared& s : shared_) {
        if (s.param.grad().defined()) s.param.value().copy_(s.master.template cast<T>());
      }
    }
  }

  // What a checkpoint must hold, for the derived state(): a name and a reference for each piece.
  template <class Visit>
  void shared_state(Visit& visit) {
    visit("lr", lr_);
    if constexpr (has_master) {
      for (std::size_t i = 0; i < shared_.size(); ++i) visit(text("master.", i), shared_[i].master);
    }
  }

  void check_buffer(const Tensor<W, D>& buffer, const Shared& s) const {
    require<ShapeError>(buffer.shape() == s.param.shape(), name_, ": buffer of shape ", buffer.shape(),
                        " for a parameter of shape ", s.param.shape());
  }

  std::string_view name_;
  double lr_ = 0, grad_scale_ = 1;
  std::vector<Shared> shared_;
};

}  // namespace tenon
