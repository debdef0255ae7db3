// What a convolution does to its output while it is in a register or in the first-level cache, instead of in
// a pass of its own over memory.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// y = relu(y + bias), each part optional.
template <class T>
struct BiasRelu {
  const T* bias = nullptr;  // (O)
  bool relu = false;

  // Channels j … j+count of one pixel.
  [[gnu::always_inline]] void operator()(Index, Index j, Index count, T* y) const {
    if (bias) {
      for (Index q = 0; q < count; ++q) y[q] += bias[j + q];
    }
    if (relu) {
      for (Index q = 0; q < count; ++q) y[q] = y[q] < 0 ? T(0) : y[q];  // a NaN stays
    }
  }

  // The channels from j on that fill a register.
  template <class Isa>
  [[gnu::always_inline]] void on_register(Index j, Vec<T, Isa>& y) const {
    if (bias) {
      Vec<T, Isa> b;
      load<T, Isa>(bias + j, b);
      y += b;
    }
    if (relu) y = y < 0 ? Vec<T, Isa>{} : y;
  }
};

}  // namespace tenon::cpu
