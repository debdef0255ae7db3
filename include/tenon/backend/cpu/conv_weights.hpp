// The weights of a convolution, and the forms that its algorithms make of them, if those are to be kept.
#pragma once

#include "tenon/core/derived.hpp"

namespace tenon::cpu {

template <class T>
struct ConvWeights {
  const T* data;             // (O,KH,KW,C/groups)
  Derived* forms = nullptr;  // null: the weights will change, each call makes its own

  ConvWeights(const T* values, Derived* kept = nullptr)  // NOLINT(google-explicit-constructor)
      : data(values), forms(kept) {}
};

}  // namespace tenon::cpu
