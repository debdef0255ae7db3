// Transposing small blocks in registers: how packing turns rows into columns without a scalar copy.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

namespace detail {

// out[0] = a0 b0 a1 b1 … of the lower halves of a and b, out[1] the same of the upper halves.
template <class T, class Isa, std::size_t... I>
[[gnu::always_inline]] inline void interleave(const Vec<T, Isa>* a, const Vec<T, Isa>* b, Vec<T, Isa>* out,
                                              std::index_sequence<I...>) {
  constexpr int n = sizeof...(I);
  const Vec<T, Isa> x = *a, y = *b;
  out[0] = __builtin_shufflevector(x, y, static_cast<int>(I % 2 ? n + I / 2 : I / 2)...);
  out[1] = __builtin_shufflevector(x, y, static_cast<int>(I % 2 ? n + n / 2 + I / 2 : n / 2 + I / 2)...);
}

}  // namespace detail

// `lanes` registers become their transpose: log2(lanes) perfect shuffles.
template <class T, class Isa>
[[gnu::always_inline]] inline void transpose(Vec<T, Isa>* rows) {
  constexpr int n = lanes_of<T, Isa>;
  for (int stage = 1; stage < n; stage *= 2) {
    Vec<T, Isa> next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      detail::interleave<T, Isa>(rows + i, rows + i + n / 2, next + 2 * i, std::make_index_sequence<n>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

// out[j·out_stride + i] = in[i·in_stride + j] for a (rows,columns) block.
template <class T, class Isa>
[[gnu::always_inline]] inline void transpose_block(const T* in, Index in_stride, Index rows, Index columns,
                                                   T* out, Index out_stride) {
  constexpr Index n = lanes_of<T, Isa>;
  Index i = 0;
  for (; i + n <= rows; i += n) {
    Index j = 0;
    for (; j + n <= columns; j += n) {
      Vec<T, Isa> block[n];
#pragma GCC unroll 16
      for (Index r = 0; r < n; ++r) load<T, Isa>(in + (i + r) * in_stride + j, block[r]);
      transpose<T, Isa>(block);
#pragma GCC unroll 16
      for (Index r = 0; r < n; ++r) store<T, Isa>(block[r], out + (j + r) * out_stride + i);
    }
    for (; j < columns; ++j) {
      for (Index r = i; r < i + n; ++r) out[j * out_stride + r] = in[r * in_stride + j];
    }
  }
  for (; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) out[j * out_stride + i] = in[i * in_stride + j];
  }
}

}  // namespace tenon::cpu
