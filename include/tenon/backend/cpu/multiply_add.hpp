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
template <class T, class Isa>
inline constexpr bool in_one_piece = std::is_same_v<Isa, Avx2>;
#else
template <class T, class Isa>
inline constexpr bool in_one_piece = false;
#endif

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

#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__clang__)
// Two more pieces are whole loops: s += A·B for rows of A as RowsInEights, from a to `end`, and the rows of a packed
// panel B from b on; eight terms a turn. Displacements stand for all addresses, and nothing is left between the
// multiplications but the loads.

// Six rows, two registers.
[[gnu::always_inline]] inline void multiply_eights(const float* a, const float* end, const float* __restrict& b,
                                                   Vec<float, Avx2> (&s)[6][2]) {
  asm("0:\n\t"
      ".irp p, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
      "vmovups 64*\\p(%[b]), %%ymm12\n\t"
      "vmovups 64*\\p+32(%[b]), %%ymm13\n\t"
      "vbroadcastss 4*\\p+0(%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s00]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s01]\n\t"
      "vbroadcastss 4*\\p+32(%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s10]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s11]\n\t"
      "vbroadcastss 4*\\p+64(%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s20]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s21]\n\t"
      "vbroadcastss 4*\\p+96(%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s30]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s31]\n\t"
      "vbroadcastss 4*\\p+128(%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s40]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s41]\n\t"
      "vbroadcastss 4*\\p+160(%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s50]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s51]\n\t"
      ".endr\n\t"
      "addq $192, %[a]\n\t"
      "addq $512, %[b]\n\t"
      "cmpq %[end], %[a]\n\t"
      "jne 0b"
      : [a] "+r"(a), [b] "+r"(b), [s00] "+x"(s[0][0]), [s01] "+x"(s[0][1]), [s10] "+x"(s[1][0]), [s11] "+x"(s[1][1]),
        [s20] "+x"(s[2][0]), [s21] "+x"(s[2][1]), [s30] "+x"(s[3][0]), [s31] "+x"(s[3][1]), [s40] "+x"(s[4][0]),
        [s41] "+x"(s[4][1]), [s50] "+x"(s[5][0]), [s51] "+x"(s[5][1])
      : [end] "r"(end)
      : "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory");
}

// Three rows, four registers.
[[gnu::always_inline]] inline void multiply_eights(const float* a, const float* end, const float* __restrict& b,
                                                   Vec<float, Avx2> (&s)[3][4]) {
  asm("0:\n\t"
      ".irp p, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
      "vbroadcastss 4*\\p+0(%[a]), %%ymm12\n\t"
      "vbroadcastss 4*\\p+32(%[a]), %%ymm13\n\t"
      "vbroadcastss 4*\\p+64(%[a]), %%ymm14\n\t"
      "vmovups 128*\\p+0(%[b]), %%ymm15\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s00]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s10]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s20]\n\t"
      "vmovups 128*\\p+32(%[b]), %%ymm15\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s01]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s11]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s21]\n\t"
      "vmovups 128*\\p+64(%[b]), %%ymm15\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s02]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s12]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s22]\n\t"
      "vmovups 128*\\p+96(%[b]), %%ymm15\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s03]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s13]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s23]\n\t"
      ".endr\n\t"
      "addq $96, %[a]\n\t"
      "addq $1024, %[b]\n\t"
      "cmpq %[end], %[a]\n\t"
      "jne 0b"
      : [a] "+r"(a), [b] "+r"(b), [s00] "+x"(s[0][0]), [s01] "+x"(s[0][1]), [s02] "+x"(s[0][2]), [s03] "+x"(s[0][3]),
        [s10] "+x"(s[1][0]), [s11] "+x"(s[1][1]), [s12] "+x"(s[1][2]), [s13] "+x"(s[1][3]), [s20] "+x"(s[2][0]),
        [s21] "+x"(s[2][1]), [s22] "+x"(s[2][2]), [s23] "+x"(s[2][3])
      : [end] "r"(end)
      : "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory");
}
#endif

}  // namespace tenon::cpu
