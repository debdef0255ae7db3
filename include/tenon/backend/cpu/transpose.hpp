// Transposing small blocks in registers: how packing turns rows into columns without a scalar copy. And
// adding up the lanes of registers, which is a transpose that adds on its way.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

namespace detail {

// Of each 16 bytes, out[0] = a0 b0 a1 b1 … of the lower halves of a and b, out[1] the same of the upper
// halves: one instruction each, where a shuffle across all of a wider register takes two.
template <class T, class Isa, std::size_t... I>
[[gnu::always_inline]] inline void interleave(const Vec<T, Isa>* a, const Vec<T, Isa>* b, Vec<T, Isa>* out,
                                              std::index_sequence<I...>) {
  constexpr int n = sizeof...(I), group = 16 / sizeof(T);
  constexpr auto from = [](int i, int half) {
    return i / group * group + i % group / 2 + half * group / 2 + (i % 2 ? n : 0);
  };
  const Vec<T, Isa> x = *a, y = *b;
  out[0] = __builtin_shufflevector(x, y, from(static_cast<int>(I), 0)...);
  out[1] = __builtin_shufflevector(x, y, from(static_cast<int>(I), 1)...);
}

// Exchanges the blocks of `Size` lanes above the diagonal of two by two blocks with those below.
template <class T, class Isa, int Size, std::size_t... I>
[[gnu::always_inline]] inline void exchange(Vec<T, Isa>* a, Vec<T, Isa>* b, std::index_sequence<I...>) {
  constexpr int n = sizeof...(I);
  constexpr auto first = [](int i) { return i & Size ? n + i - Size : i; };
  constexpr auto second = [](int i) { return i & Size ? n + i : i + Size; };
  const Vec<T, Isa> x = *a, y = *b;
  *a = __builtin_shufflevector(x, y, first(static_cast<int>(I))...);
  *b = __builtin_shufflevector(x, y, second(static_cast<int>(I))...);
}

template <class T, class Isa, int Size>
[[gnu::always_inline]] inline void exchange_blocks(Vec<T, Isa>* rows) {
  constexpr int n = lanes_of<T, Isa>;
  if constexpr (Size < n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      if ((i & Size) == 0) exchange<T, Isa, Size>(rows + i, rows + i + Size, std::make_index_sequence<n>());
    }
    exchange_blocks<T, Isa, 2 * Size>(rows);
  }
}

template <class T, class Isa, int Size>
[[gnu::always_inline]] inline void total_blocks(Vec<T, Isa>* rows) {
  constexpr int n = lanes_of<T, Isa>;
  if constexpr (Size < n) {
#pragma GCC unroll 16
    for (int i = 0; i < n / Size / 2; ++i) {
      Vec<T, Isa> a = rows[2 * i], b = rows[2 * i + 1];
      exchange<T, Isa, Size>(&a, &b, std::make_index_sequence<n>());
      rows[i] = a + b;
    }
    total_blocks<T, Isa, 2 * Size>(rows);
  }
}

}  // namespace detail

// `lanes` registers become their transpose: perfect shuffles within each 16 bytes, then those blocks change
// places; log2(lanes) steps.
template <class T, class Isa>
[[gnu::always_inline]] inline void transpose(Vec<T, Isa>* rows) {
  constexpr int n = lanes_of<T, Isa>, group = 16 / sizeof(T);
  for (int stage = 1; stage < group; stage *= 2) {
    Vec<T, Isa> next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      const int from = i / (group / 2) * group + i % (group / 2),
                to = i / (group / 2) * group + i % (group / 2) * 2;
      detail::interleave<T, Isa>(rows + from, rows + from + group / 2, next + to,
                                 std::make_index_sequence<n>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
  detail::exchange_blocks<T, Isa, group>(rows);
}

// rows[0] becomes the totals of the lanes of `lanes` registers, lane i that of rows[i].
template <class T, class Isa>
[[gnu::always_inline]] inline void total_lanes(Vec<T, Isa>* rows) {
  constexpr int n = lanes_of<T, Isa>, group = 16 / sizeof(T);
#pragma GCC unroll 8
  for (int high = group; high > 1; high /= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < n / group * high / 2; ++i) {
      const int from = i / (high / 2) * high + i % (high / 2);
      Vec<T, Isa> halves[2];
      detail::interleave<T, Isa>(rows + from, rows + from + high / 2, halves, std::make_index_sequence<n>());
      rows[i] = halves[0] + halves[1];
    }
  }
  detail::total_blocks<T, Isa, group>(rows);
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
