// Modules made of modules: one after the other, and one around the other.
#pragma once

#include <tuple>

#include "tenon/nn/layers.hpp"

namespace tenon::nn {

namespace detail {

// The types of the first module that has any; layers such as ReLU serve all.
template <class... Ms> struct FirstTypes {};
template <class M, class... Ms>
struct FirstTypes<M, Ms...> : FirstTypes<Ms...> {};
template <class M, class... Ms>
  requires requires { typename TypesOf<M>::Value; }
struct FirstTypes<M, Ms...> {
  using value_type = typename TypesOf<M>::Value;
  using device_type = typename TypesOf<M>::Place;
};

}  // namespace detail

//   auto net = Sequential(Conv2d({.in = 3, .out = 8, .kernel = 3}, rng), ReLU{}, Flatten{}, Linear({…}, rng));
//
// The parts are called 0, 1, 2, … as in PyTorch. get<I>() is the I-th.
template <class... Ms>
class Sequential : public detail::FirstTypes<Ms...> {
  static_assert((Module<Ms> && ...),
                "tenon: Sequential takes modules; a function goes in as a struct with parts(visit)");

 public:
  explicit Sequential(Ms... modules) : modules_(std::move(modules)...) {}

  void parts(auto&& visit) { visit_from<0>(visit); }

  template <class T, class D>
  Var<T, D> operator()(const Var<T, D>& x) {
    return call<0>(x);
  }

  template <std::size_t I>
  auto& get() { return std::get<I>(modules_); }

 private:
  template <std::size_t I>
  void visit_from(auto& visit) {
    if constexpr (I < sizeof...(Ms)) {
      visit(text(I), std::get<I>(modules_));
      visit_from<I + 1>(visit);
    }
  }

  template <std::size_t I, class V>
  V call(const V& x) {
    if constexpr (I == sizeof...(Ms)) return x;
    else return call<I + 1>(std::get<I>(modules_)(x));
  }

  std::tuple<Ms...> modules_;
};

// y = body(x) + shortcut(x) (He et al. 2016): the body learns what to add.
template <class Body, class Shortcut = Identity>
struct Residual : detail::FirstTypes<Body, Shortcut> {
  static_assert(Module<Body> && Module<Shortcut>, "tenon: Residual takes modules");
  Body body;
  Shortcut shortcut;

  explicit Residual(Body b, Shortcut s = {}) : body(std::move(b)), shortcut(std::move(s)) {}

  void parts(auto&& visit) {
    visit("body", body);
    visit("shortcut", shortcut);
  }

  template <class T, class D>
  Var<T, D> operator()(const Var<T, D>& x) { return body(x) + shortcut(x); }
};

}  // namespace tenon::nn
