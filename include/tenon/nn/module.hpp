// Modules: plain structs with operator() and one visitor,
//
//   void parts(auto&& visit) { visit("conv", conv); visit("bn", bn); }
//
// which names what the module is made of: parameters (Var), buffers (Tensor), random generators (Rng) and other
// modules, also inside std::optional and std::vector. Everything else is derived from it: lists of parameters,
// state dictionaries, training and evaluation mode, tables. No base class, no registration.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tenon/autograd/var.hpp"
#include "tenon/core/random.hpp"

namespace tenon::nn {

namespace detail {

struct AnyVisitor {
  template <class Part>
  void operator()(std::string_view, Part&) const {}
};

template <class X> inline constexpr bool is_optional = false;
template <class X> inline constexpr bool is_optional<std::optional<X>> = true;
template <class X> inline constexpr bool is_vector = false;
template <class X, class A> inline constexpr bool is_vector<std::vector<X, A>> = true;
template <class X> inline constexpr bool is_var = false;
template <class T, class D> inline constexpr bool is_var<Var<T, D>> = true;
template <class X> inline constexpr bool is_tensor = false;
template <class T, class D> inline constexpr bool is_tensor<Tensor<T, D>> = true;

// The scalar type and device of a module: its own names for them, or its two template arguments.
template <class M> struct TypesOf;
template <class M>
  requires requires { typename M::value_type; typename M::device_type; }
struct TypesOf<M> {
  using Value = typename M::value_type;
  using Place = typename M::device_type;
};
template <template <class, class> class M, class T, class D>
  requires(Scalar<T> && Device<D> && !requires { typename M<T, D>::value_type; })
struct TypesOf<M<T, D>> {
  using Value = T;
  using Place = D;
};

}  // namespace detail

// A type with parts(visit).
template <class M>
concept Module = requires(M& module, detail::AnyVisitor visit) { module.parts(visit); };

template <class M>
using ValueOf = typename detail::TypesOf<std::remove_cvref_t<M>>::Value;
template <class M>
using DeviceOf = typename detail::TypesOf<std::remove_cvref_t<M>>::Place;

// Calls visit(name, part) for every parameter, buffer and generator below a module, names joined by dots, and
// visit(name, module) for every module, before its parts.
template <class M, class Visit>
void walk(M& part, const std::string& name, const Visit& visit) {
  if constexpr (detail::is_optional<M>) {
    if (part) walk(*part, name, visit);
  } else if constexpr (detail::is_vector<M>) {
    for (std::size_t i = 0; i < part.size(); ++i) walk(part[i], text(name, ".", i), visit);
  } else if constexpr (detail::is_var<M> || detail::is_tensor<M> || std::same_as<M, Rng>) {
    visit(name, part);
  } else {
    static_assert(Module<M>, "tenon: a module needs a member parts(visit) that names its layers and parameters");
    if constexpr (Module<M>) {
      visit(name, part);
      part.parts([&](std::string_view own, auto& child) {
        walk(child, name.empty() ? std::string(own) : text(name, ".", own), visit);
      });
    }
  }
}

template <class T, class D>
struct NamedParameter {
  std::string name;
  Var<T, D> var;
};

// The parameters, with their dotted names, in the order of parts().
template <class M>
auto named_parameters(M& module) {
  using V = Var<ValueOf<M>, DeviceOf<M>>;
  std::vector<NamedParameter<ValueOf<M>, DeviceOf<M>>> found;
  walk(module, "", [&](const std::string& name, auto& part) {
    if constexpr (std::same_as<std::remove_cvref_t<decltype(part)>, V>) {
      if (part.defined()) found.push_back({name, part});
    }
  });
  return found;
}

// What an optimiser takes.
template <class M>
auto parameters(M& module) {
  std::vector<Var<ValueOf<M>, DeviceOf<M>>> found;
  for (auto& p : named_parameters(module)) found.push_back(p.var);
  return found;
}

template <class M>
Index parameter_count(M& module) {
  Index count = 0;
  for (const auto& p : named_parameters(module)) count += p.var.numel();
  return count;
}

// Training or evaluation: batch normalisation and dropout behave differently.
template <class M>
void set_training(M& module, bool training) {
  walk(module, "", [&](const std::string&, auto& part) {
    if constexpr (requires { part.training = training; }) part.training = training;
  });
}

// Evaluation mode while it lives; afterwards every module is back in the mode it was in.
template <class M>
class EvaluationScope {
 public:
  explicit EvaluationScope(M& module) {
    walk(module, "", [&](const std::string&, auto& part) {
      if constexpr (requires { part.training = false; }) before_.emplace_back(&part.training, part.training);
    });
    set_training(module, false);
  }
  ~EvaluationScope() {
    for (const auto& [mode, was] : before_) *mode = was;
  }
  EvaluationScope(const EvaluationScope&) = delete;
  EvaluationScope& operator=(const EvaluationScope&) = delete;

 private:
  std::vector<std::pair<bool*, bool>> before_;
};

// Parameters and buffers by name, copied to the host; what a checkpoint stores. Order is that of parts().
template <class T>
using StateDict = std::vector<std::pair<std::string, Tensor<T, Cpu>>>;

template <class M>
StateDict<ValueOf<M>> state_dict(M& module) {
  StateDict<ValueOf<M>> state;
  walk(module, "", [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (detail::is_var<Part>) {
      if (part.defined()) state.emplace_back(name, part.value().clone().template to<Cpu>());
    } else if constexpr (detail::is_tensor<Part>) {
      state.emplace_back(name, part.clone().template to<Cpu>());
    }
  });
  return state;
}

// Overwrites parameters and buffers. Every name must be found, with its shape, and none may be left over; on an
// error nothing has changed.
template <class M>
void load_state_dict(M& module, const StateDict<ValueOf<M>>& state) {
  using T = ValueOf<M>;
  using D = DeviceOf<M>;
  std::map<std::string, const Tensor<T, Cpu>*, std::less<>> given;
  for (const auto& [name, tensor] : state) given[name] = &tensor;
  std::vector<std::pair<Tensor<T, D>*, const Tensor<T, Cpu>*>> writes;
  walk(module, "", [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    Tensor<T, D>* target = nullptr;
    if constexpr (detail::is_var<Part>) {
      if (part.defined()) target = &part.value();
    } else if constexpr (detail::is_tensor<Part>) {
      target = &part;
    }
    if (!target) return;
    const auto source = given.find(name);
    require<ValueError>(source != given.end(), "load_state_dict: no entry for ", name, " ", target->shape());
    require<ShapeError>(source->second->shape() == target->shape(), "load_state_dict: ", name, " is ",
                        source->second->shape(), ", the model expects ", target->shape());
    writes.emplace_back(target, source->second);
    given.erase(source);
  });
  require<ValueError>(given.empty(), "load_state_dict: the model has no ",
                      given.empty() ? std::string() : given.begin()->first);
  for (const auto& [target, source] : writes) target->copy_(source->template to<D>());
}

// ---- observation: how summary() sees the shapes that layers produce --------------------------------------

struct Observation {
  const void* layer;
  const char* kind;
  Shape output;
};

namespace detail {
inline thread_local std::vector<Observation>* observer = nullptr;
}

// Collects what the layers of this thread produce while it lives.
class ObserverScope {
 public:
  explicit ObserverScope(std::vector<Observation>& seen) : before_(std::exchange(detail::observer, &seen)) {}
  ~ObserverScope() { detail::observer = before_; }
  ObserverScope(const ObserverScope&) = delete;
  ObserverScope& operator=(const ObserverScope&) = delete;

 private:
  std::vector<Observation>* before_;
};

// Layers return through this; it costs one test of a pointer.
template <class Layer, class T, class D>
Var<T, D> observed(const Layer& layer, Var<T, D> y) {
  if (detail::observer) detail::observer->push_back({&layer, Layer::kind, y.shape()});
  return y;
}

}  // namespace tenon::nn
