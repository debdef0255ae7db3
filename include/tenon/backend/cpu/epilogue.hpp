// What a convolution does to its output while it is in a register or in the first-level cache, instead of in
// a pass of its own over memory.
#pragma once

#include "tenon/backend/cpu/moments.hpp"

namespace tenon::cpu {

// y (rows,O) = relu(y + bias + residual), each part optional, and what `moments` gathers about it. A NaN stays a NaN.
template <class T>
struct Epilogue {
  const T* bias = nullptr;      // (O)
  const T* residual = nullptr;  // of y's shape
  bool relu = false;
  Index row = 0;  // from one row of the residual to the next; each algorithm sets it
  // Of y's channels. An algorithm that cannot gather them leaves it as it is, not started.
  Moments<T>* moments = nullptr;

  // Channels j … j+count of row i.
  [[gnu::always_inline]] void operator()(Index i, Index j, Index count, T* y) const {
    if (bias) {
      for (Index q = 0; q < count; ++q) y[q] += bias[j + q];
    }
    if (residual) {
      const T* more = residual + i * row + j;
      for (Index q = 0; q < count; ++q) y[q] += more[q];
    }
    if (relu) {
      for (Index q = 0; q < count; ++q) y[q] = y[q] < 0 ? T(0) : y[q];
    }
    if (moments) moments->add(i, j, count, y);
  }

  // A tile of registers: rows from i on, channels from j on.
  template <class Isa, int Rows, int Vectors>
  [[gnu::always_inline]] void on_tile(Index i, Index j, Vec<T, Isa> (&y)[Rows][Vectors]) const {
    constexpr int lanes = lanes_of<T, Isa>;
    if (bias) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        Vec<T, Isa> b;
        load<T, Isa>(bias + j + v * lanes, b);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) y[r][v] += b;
      }
    }
    if (residual) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          Vec<T, Isa> more;
          load<T, Isa>(residual + (i + r) * row + j + v * lanes, more);
          y[r][v] += more;
        }
      }
    }
    if (relu) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) y[r][v] = y[r][v] < 0 ? Vec<T, Isa>{} : y[r][v];
      }
    }
    if (moments) moments->template add_tile<Isa>(i, j, y);
  }

  // The channels from j on that fill a register, at `Count` pixels; more: their residuals, or null.
  template <class Isa, int Count>
  [[gnu::always_inline]] void on_registers(Index j, const Vec<T, Isa>* more, Vec<T, Isa>* y) const {
    if (bias) {
      Vec<T, Isa> b;
      load<T, Isa>(bias + j, b);
#pragma GCC unroll 16
      for (int k = 0; k < Count; ++k) y[k] += b;
    }
    if (more) {
#pragma GCC unroll 16
      for (int k = 0; k < Count; ++k) y[k] += more[k];
    }
    if (relu) {
#pragma GCC unroll 16
      for (int k = 0; k < Count; ++k) y[k] = y[k] < 0 ? Vec<T, Isa>{} : y[k];
    }
  }
};

}  // namespace tenon::cpu
