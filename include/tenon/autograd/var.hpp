// Var: a tensor with history. Operations on Vars record how to undo themselves; backward() walks the record
// and leaves, in every leaf, the derivative of the result with respect to it (reverse-mode differentiation).
//
//   Var<float> w(Tensor<float>::ones({3}), {.requires_grad = true});
//   auto y = sum(w * w);
//   y.backward();             // w.grad() is 2w
//
// A node holds its value, its gradient, its parents and one closure. The graph belongs to its results: when the
// last handle goes, so does the record, without recursion, so its depth is bounded by memory only.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/tensor/elementwise.hpp"

namespace tenon {

namespace detail {

// Whatever a destroyed node owned is handed to the outermost destructor on this thread, which frees it in a
// loop: a chain of a million nodes is freed with a stack a few frames deep.
using Closure = std::function<void()>;
inline thread_local std::vector<Closure>* burial = nullptr;

inline void bury(Closure&& closure) noexcept {
  if (!closure) return;
  if (burial) {
    burial->push_back(std::move(closure));
    return;
  }
  std::vector<Closure> pending;
  burial = &pending;
  pending.push_back(std::move(closure));
  while (!pending.empty()) {
    const Closure dying = std::move(pending.back());
    pending.pop_back();
  }
  burial = nullptr;
}

struct Node {
  std::vector<std::shared_ptr<Node>> parents;
  Closure step;  // adds this node's share to the gradients of its parents
  std::uint64_t visit = 0;
  bool requires_grad = false;
  bool used = false;  // the step has run and is gone

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() { release(); }

  virtual bool has_grad() const = 0;
  virtual void drop_grad() = 0;

  void release() noexcept {
    if (parents.empty() && !step) return;
    // The closure keeps the parents alive until the burial frees it.
    bury([own = std::move(parents), undo = std::move(step)] {});
    parents.clear();
    step = nullptr;
  }
};

template <class T, class D>
struct ValueNode final : Node {
  Tensor<T, D> value;
  Tensor<T, D> grad;

  explicit ValueNode(Tensor<T, D> v) : value(std::move(v)) {}
  bool has_grad() const override { return grad.defined(); }
  void drop_grad() override { grad = {}; }
};

inline thread_local bool grad_enabled = true;

// A mark for one walk over a graph; nodes of different types may meet in one, so there is one counter for all.
inline std::uint64_t next_visit() {
  static std::atomic<std::uint64_t> visits{0};
  return ++visits;
}

}  // namespace detail

// While one is alive, nothing on this thread is recorded: for evaluation and for updating parameters.
class NoGrad {
 public:
  NoGrad() : before_(std::exchange(detail::grad_enabled, false)) {}
  ~NoGrad() { detail::grad_enabled = before_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

inline bool grad_enabled() { return detail::grad_enabled; }

struct VarOptions {
  bool requires_grad = false;
};

struct BackwardOptions {
  bool retain_graph = false;  // keep the record for another backward()
};

// A handle: copies share value, gradient and history.
template <class T, class D = Cpu>
class Var {
 public:
  using value_type = T;
  using device_type = D;
  using Value = Tensor<T, D>;

  Var() = default;

  // A constant, or with requires_grad a leaf that collects a gradient.
  Var(Value value, VarOptions options = {})  // NOLINT(google-explicit-constructor): a Tensor is a constant Var
      : node_(std::make_shared<detail::ValueNode<T, D>>(std::move(value))) {
    node_->requires_grad = options.requires_grad;
  }

  bool defined() const { return node_ != nullptr; }
  const Value& value() const { return node().value; }
  Value& value() { return node().value; }
  const Shape& shape() const { return value().shape(); }
  int rank() const { return value().rank(); }
  Index size(int d) const { return value().size(d); }
  Index numel() const { return value().numel(); }
  T item() const { return value().item(); }

  // What backward() has added up so far; undefined (defined() is false) if nothing arrived.
  const Value& grad() const { return node().grad; }
  void set_grad(Value grad) {
    check_grad(grad, "set_grad");
    node().grad = std::move(grad);
  }
  void zero_grad() { node().grad = {}; }
  Value take_grad() { return std::exchange(node().grad, {}); }  // leaves it undefined

  bool requires_grad() const { return node_ && node_->requires_grad; }
  void set_requires_grad(bool wanted) {
    require<ValueError>(!node().step, "set_requires_grad: this Var is the result of an operation, not a leaf");
    node().requires_grad = wanted;
  }

  // The same value as a constant: what follows is not differentiated through it.
  Var detach() const { return Var(value()); }

  // Adds a contribution to the gradient. Every gradient passes here; one of another shape is refused. (One of
  // another type or device does not compile.)
  void accumulate(Value contribution) const {
    if (!requires_grad()) return;
    check_grad(contribution, "accumulate");
    Value& sum = node_->grad;
    if (!sum.defined()) {
      sum = std::move(contribution);
    } else if (sum.unique()) {
      zip_(fn::Add{}, sum, contribution, "accumulate");
    } else if (contribution.unique()) {  // somebody else holds the sum: leave theirs alone
      zip_(fn::Add{}, contribution, sum, "accumulate");
      sum = std::move(contribution);
    } else {
      sum = sum + contribution;
    }
  }

  // Fills the gradients of all leaves that this result depends on. The result must have one element.
  void backward(BackwardOptions options = {}) const {
    require<ShapeError>(numel() == 1, "backward: a result of shape ", shape(),
                        " needs a gradient to start from; pass one, or reduce to one element");
    backward(Value::ones(shape()), options);
  }

  // The same from a given gradient of the result.
  void backward(Value start, BackwardOptions options = {}) const {
    require<ValueError>(requires_grad(), "backward: the result does not depend on anything that requires a gradient");
    accumulate(std::move(start));
    auto order = topological_order();
    while (!order.empty()) {  // last recorded first: a node runs when all its users have
      const std::shared_ptr<detail::Node> current = std::move(order.back());
      order.pop_back();
      require<ValueError>(!current->used,
                          "backward: part of this graph was already used; pass retain_graph the first time");
      if (!current->step) continue;  // a leaf keeps its gradient
      if (current->has_grad()) current->step();
      current->drop_grad();
      if (!options.retain_graph) {
        current->used = true;
        current->release();
      }
    }
  }

  // Whether nobody else has this handle or the tensor in it: who is given it may write over its elements.
  bool unique() const { return node_.use_count() == 1 && node_->value.unique(); }

  // For record(): the node behind the handle.
  const std::shared_ptr<detail::ValueNode<T, D>>& node_pointer() const { return node_; }

 private:
  detail::ValueNode<T, D>& node() const {
    require<ValueError>(node_ != nullptr, "Var: used before it was given a value");
    return *node_;
  }

  void check_grad(const Value& grad, std::string_view who) const {
    require<ShapeError>(grad.shape() == shape(), who, ": gradient of shape ", grad.shape(), " for a value of shape ",
                        shape());
  }

  // Parents before children, by an explicit stack.
  std::vector<std::shared_ptr<detail::Node>> topological_order() const {
    const std::uint64_t mark = detail::next_visit();
    std::vector<std::shared_ptr<detail::Node>> order;
    std::vector<std::pair<std::shared_ptr<detail::Node>, std::size_t>> path;
    node_->visit = mark;
    path.emplace_back(node_, 0);
    while (!path.empty()) {
      auto& [current, next] = path.back();
      if (next == current->parents.size()) {
        order.push_back(std::move(current));
        path.pop_back();
        continue;
      }
      const auto parent = current->parents[next++];
      if (parent->requires_grad && parent->visit != mark) {
        parent->visit = mark;
        path.emplace_back(parent, 0);
      }
    }
    return order;
  }

  std::shared_ptr<detail::ValueNode<T, D>> node_;
};

// Whether the result of an operation on these will be recorded: some of them require a gradient, and recording is on.
template <class T, class D>
bool is_recorded(const std::vector<Var<T, D>>& parents) {
  return grad_enabled() && std::ranges::any_of(parents, [](const auto& p) { return p.requires_grad(); });
}

// The way to write a differentiable operation: the result, what it was made from, and how a gradient of the
// result becomes gradients of those (by calling accumulate on them). Nothing is recorded when no parent
// requires a gradient or recording is off.
//
//   return record(y, {x}, [=](const Tensor<T, D>& dy) { x.accumulate(dy * slope); });
//
// The node lets go of its gradient first, so a closure that takes dy by value and finds it unique() may overwrite
// it, and hand it on as the gradient of a parent.
template <class T, class D, class Backward>
Var<T, D> record(Tensor<T, D> y, const std::vector<Var<T, D>>& parents, Backward&& backward) {
  if (!is_recorded(parents)) return Var<T, D>(std::move(y));
  Var<T, D> result(std::move(y), {.requires_grad = true});
  auto& node = *result.node_pointer();
  for (const auto& p : parents) {
    if (p.defined()) node.parents.push_back(p.node_pointer());
  }
  node.step = [self = &node, undo = std::forward<Backward>(backward)] { undo(std::exchange(self->grad, {})); };
  return result;
}

template <class T, class D, class Backward>
Var<T, D> record(Tensor<T, D> y, std::initializer_list<std::type_identity_t<Var<T, D>>> parents, Backward&& backward) {
  return record(std::move(y), std::vector<Var<T, D>>(parents), std::forward<Backward>(backward));
}

}  // namespace tenon
