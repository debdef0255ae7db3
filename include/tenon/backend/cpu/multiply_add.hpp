// What a register tile does for each term: a value from memory times registers that are held, to as many sums.
//
// With 16 registers, of which 12 are sums, no order of single instructions lets GCC do without moves from register to
// register: one instruction in ten. In one piece, which the compiler cannot take apart, they need none.
#pragma once

#include <type_traits>

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::cpu {

// Whether there is such a piece. GCC alone accepts the registers of an instruction set that the surrounding program is
// not compiled for, and in an optimised build only (see hold).
#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__clang__)
inline constexpr bool takes_pieces = true;
#else
inline constexpr bool takes_pieces = false;
#endif
template <class T, class Isa>
inline constexpr bool in_one_piece = takes_pieces&& std::is_same_v<Isa, Avx2>;

// s += values·row for each of three rows, whose values are repeated in registers; row, at p, is left in a register.
template <class T, class Isa>
[[gnu::always_inline]] inline void multiply_row(const T* p, const Vec<T, Isa> (&values)[3], Vec<T, Isa>& row,
                                                Vec<T, Isa>& s0, Vec<T, Isa>& s1, Vec<T, Isa>& s2) {
  if constexpr (in_one_piece<T, Isa>) {
    const auto& at = *reinterpret_cast<const Vec<T, Isa>*>(p);
    if constexpr (sizeof(T) == 4) {
      asm("vmovups %[at], %[row]\n\t"
          "vfmadd231ps %[row], %[v0], %[s0]\n\t"
          "vfmadd231ps %[row], %[v1], %[s1]\n\t"
          "vfmadd231ps %[row], %[v2], %[s2]"
          : [row] "=&x"(row), [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2)
          : [at] "m"(at), [v0] "x"(values[0]), [v1] "x"(values[1]), [v2] "x"(values[2]));
    } else {
      asm("vmovupd %[at], %[row]\n\t"
          "vfmadd231pd %[row], %[v0], %[s0]\n\t"
          "vfmadd231pd %[row], %[v1], %[s1]\n\t"
          "vfmadd231pd %[row], %[v2], %[s2]"
          : [row] "=&x"(row), [s0] "+x"(s0), [s1] "+x"(s1), [s2] "+x"(s2)
          : [at] "m"(at), [v0] "x"(values[0]), [v1] "x"(values[1]), [v2] "x"(values[2]));
    }
  } else {
    load<T, Isa>(p, row);
    s0 += values[0] * row;
    s1 += values[1] * row;
    s2 += values[2] * row;
  }
}

// s += *p·row for each of two registers of a row: where that is one piece.
template <class T, class Isa>
[[gnu::always_inline]] inline void multiply_value(const T* p, const Vec<T, Isa> (&row)[2], Vec<T, Isa>& s0,
                                                  Vec<T, Isa>& s1) {
  static_assert(in_one_piece<T, Isa>);
  Vec<T, Isa> value;
  if constexpr (sizeof(T) == 4) {
    asm("vbroadcastss %[at], %[value]\n\t"
        "vfmadd231ps %[r0], %[value], %[s0]\n\t"
        "vfmadd231ps %[r1], %[value], %[s1]"
        : [value] "=&x"(value), [s0] "+x"(s0), [s1] "+x"(s1)
        : [at] "m"(*p), [r0] "x"(row[0]), [r1] "x"(row[1]));
  } else {
    asm("vbroadcastsd %[at], %[value]\n\t"
        "vfmadd231pd %[r0], %[value], %[s0]\n\t"
        "vfmadd231pd %[r1], %[value], %[s1]"
        : [value] "=&x"(value), [s0] "+x"(s0), [s1] "+x"(s1)
        : [at] "m"(*p), [r0] "x"(row[0]), [r1] "x"(row[1]));
  }
}

// Whether multiplication repeats a value as it reads it. By itself that is an instruction more, which takes a place
// among the multiplications: with one register of columns one in four, on processors that start one a clock.
template <class T, class Isa>
inline constexpr bool repeats_values = takes_pieces&& std::is_same_v<Isa, Avx512>;

// s += *p·row, where that is one instruction.
template <class T, class Isa>
[[gnu::always_inline]] inline void multiply_repeated(const T* p, const Vec<T, Isa>& row, Vec<T, Isa>& s) {
  static_assert(repeats_values<T, Isa>);
  if constexpr (sizeof(T) == 4) {
    asm("vfmadd231ps %[at]%{1to16%}, %[row], %[s]" : [s] "+v"(s) : [at] "m"(*p), [row] "v"(row));
  } else {
    asm("vfmadd231pd %[at]%{1to8%}, %[row], %[s]" : [s] "+v"(s) : [at] "m"(*p), [row] "v"(row));
  }
}

}  // namespace tenon::cpu
