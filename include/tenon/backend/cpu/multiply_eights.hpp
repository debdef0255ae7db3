// A register tile in one piece: the loop over all terms of rows that were copied, so that their addresses are
// displacements. Nothing is left between the multiplications but the loads, and what comes later is asked for in
// passing.
#pragma once

#include "tenon/backend/cpu/gemm_ahead.hpp"
#include "tenon/backend/cpu/multiply_add.hpp"
#include "tenon/backend/cpu/tile_rows.hpp"

namespace tenon::cpu {

// What is asked for with each eight terms: nothing, a line, two, or of each row of A that comes next the same eight
// terms.
enum class Asking { nothing, line, two_lines, rows };

// s = A·B for rows of A at a, copied as Left says, and a panel B: packed, or with its rows `step` apart, which are
// copied to `copy` as they are read. `depth` is a multiple of eight terms, and not 0.
template <class Left, Asking asking, class Sums>
void multiply_eights(const float* a, Index depth, const float* b, Index step, float* copy, AskedLines next,
                     Sums& s) = delete;

#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__clang__)
// Six rows, two registers.
template <class Left, Asking asking>
[[gnu::always_inline]] inline void multiply_eights(const float* a, Index depth, const float* b, Index step, float* copy,
                                                   AskedLines next, Vec<float, Avx2> (&s)[6][2]) {
  const float* const end = a + depth * 6;
  const char* later = static_cast<const char*>(next.from) + 3 * next.step;
  asm("vxorps %[s00], %[s00], %[s00]\n\t"
      "vxorps %[s01], %[s01], %[s01]\n\t"
      "vxorps %[s10], %[s10], %[s10]\n\t"
      "vxorps %[s11], %[s11], %[s11]\n\t"
      "vxorps %[s20], %[s20], %[s20]\n\t"
      "vxorps %[s21], %[s21], %[s21]\n\t"
      "vxorps %[s30], %[s30], %[s30]\n\t"
      "vxorps %[s31], %[s31], %[s31]\n\t"
      "vxorps %[s40], %[s40], %[s40]\n\t"
      "vxorps %[s41], %[s41], %[s41]\n\t"
      "vxorps %[s50], %[s50], %[s50]\n\t"
      "vxorps %[s51], %[s51], %[s51]\n\t"
      "0:\n\t"
      ".irp p, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
      ".if %c[copies]\n\t"
      "prefetcht0 (%[b], %[step], 8)\n\t"
      "vmovups (%[b]), %%ymm12\n\t"
      "vmovups 32(%[b]), %%ymm13\n\t"
      "addq %[step], %[b]\n\t"
      "vmovups %%ymm12, 64*\\p(%[copy])\n\t"
      "vmovups %%ymm13, 64*\\p+32(%[copy])\n\t"
      ".else\n\t"
      "vmovups 64*\\p(%[b]), %%ymm12\n\t"
      "vmovups 64*\\p+32(%[b]), %%ymm13\n\t"
      ".endif\n\t"
      "vbroadcastss 0*%c[row]+\\p*%c[term](%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s00]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s01]\n\t"
      "vbroadcastss 1*%c[row]+\\p*%c[term](%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s10]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s11]\n\t"
      "vbroadcastss 2*%c[row]+\\p*%c[term](%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s20]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s21]\n\t"
      "vbroadcastss 3*%c[row]+\\p*%c[term](%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s30]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s31]\n\t"
      "vbroadcastss 4*%c[row]+\\p*%c[term](%[a]), %%ymm14\n\t"
      "vfmadd231ps %%ymm12, %%ymm14, %[s40]\n\t"
      "vfmadd231ps %%ymm13, %%ymm14, %[s41]\n\t"
      "vbroadcastss 5*%c[row]+\\p*%c[term](%[a]), %%ymm15\n\t"
      "vfmadd231ps %%ymm12, %%ymm15, %[s50]\n\t"
      "vfmadd231ps %%ymm13, %%ymm15, %[s51]\n\t"
      ".endr\n\t"
      ".if %c[asking] == 1\n\t"
      "prefetcht1 (%[next])\n\t"
      "addq %[by], %[next]\n\t"
      ".endif\n\t"
      ".if %c[asking] == 2\n\t"
      "prefetcht1 (%[next])\n\t"
      "prefetcht1 (%[next], %[by])\n\t"
      "leaq (%[next], %[by], 2), %[next]\n\t"
      ".endif\n\t"
      ".if %c[asking] == 3\n\t"
      "prefetcht0 (%[next])\n\t"
      "prefetcht0 (%[next], %[by])\n\t"
      "prefetcht0 (%[next], %[by], 2)\n\t"
      "prefetcht0 (%[later])\n\t"
      "prefetcht0 (%[later], %[by])\n\t"
      "prefetcht0 (%[later], %[by], 2)\n\t"
      "addq $32, %[next]\n\t"
      "addq $32, %[later]\n\t"
      ".endif\n\t"
      ".if %c[copies]\n\t"
      "addq $512, %[copy]\n\t"
      ".else\n\t"
      "addq $512, %[b]\n\t"
      ".endif\n\t"
      "addq $192, %[a]\n\t"
      "cmpq %[end], %[a]\n\t"
      "jne 0b"
      : [a] "+r"(a), [b] "+r"(b), [copy] "+r"(copy), [next] "+r"(next.from), [later] "+r"(later), [s00] "=&x"(s[0][0]),
        [s01] "=&x"(s[0][1]), [s10] "=&x"(s[1][0]), [s11] "=&x"(s[1][1]), [s20] "=&x"(s[2][0]), [s21] "=&x"(s[2][1]),
        [s30] "=&x"(s[3][0]), [s31] "=&x"(s[3][1]), [s40] "=&x"(s[4][0]), [s41] "=&x"(s[4][1]), [s50] "=&x"(s[5][0]),
        [s51] "=&x"(s[5][1])
      : [end] "r"(end), [step] "r"(4 * step), [by] "r"(next.step), [row] "i"(4 * Left::of(1, 0)),
        [term] "i"(4 * Left::of(0, 1)), [copies] "i"(requires { Left::copy; } ? 1 : 0),
        [asking] "i"(static_cast<int>(asking))
      : "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory");
}

// Three rows, four registers.
template <class Left, Asking asking>
[[gnu::always_inline]] inline void multiply_eights(const float* a, Index depth, const float* b, Index step, float* copy,
                                                   AskedLines next, Vec<float, Avx2> (&s)[3][4]) {
  const float* const end = a + depth * 3;
  asm("vxorps %[s00], %[s00], %[s00]\n\t"
      "vxorps %[s01], %[s01], %[s01]\n\t"
      "vxorps %[s02], %[s02], %[s02]\n\t"
      "vxorps %[s03], %[s03], %[s03]\n\t"
      "vxorps %[s10], %[s10], %[s10]\n\t"
      "vxorps %[s11], %[s11], %[s11]\n\t"
      "vxorps %[s12], %[s12], %[s12]\n\t"
      "vxorps %[s13], %[s13], %[s13]\n\t"
      "vxorps %[s20], %[s20], %[s20]\n\t"
      "vxorps %[s21], %[s21], %[s21]\n\t"
      "vxorps %[s22], %[s22], %[s22]\n\t"
      "vxorps %[s23], %[s23], %[s23]\n\t"
      "0:\n\t"
      ".irp p, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
      ".if %c[copies]\n\t"
      "prefetcht0 (%[b], %[step], 8)\n\t"
      "prefetcht0 64(%[b], %[step], 8)\n\t"
      ".endif\n\t"
      "vbroadcastss 0*%c[row]+\\p*%c[term](%[a]), %%ymm12\n\t"
      "vbroadcastss 1*%c[row]+\\p*%c[term](%[a]), %%ymm13\n\t"
      "vbroadcastss 2*%c[row]+\\p*%c[term](%[a]), %%ymm14\n\t"
      ".if %c[copies]\n\t"
      "vmovups 0(%[b]), %%ymm15\n\t"
      "vmovups %%ymm15, 128*\\p+0(%[copy])\n\t"
      ".else\n\t"
      "vmovups 128*\\p+0(%[b]), %%ymm15\n\t"
      ".endif\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s00]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s10]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s20]\n\t"
      ".if %c[copies]\n\t"
      "vmovups 32(%[b]), %%ymm15\n\t"
      "vmovups %%ymm15, 128*\\p+32(%[copy])\n\t"
      ".else\n\t"
      "vmovups 128*\\p+32(%[b]), %%ymm15\n\t"
      ".endif\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s01]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s11]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s21]\n\t"
      ".if %c[copies]\n\t"
      "vmovups 64(%[b]), %%ymm15\n\t"
      "vmovups %%ymm15, 128*\\p+64(%[copy])\n\t"
      ".else\n\t"
      "vmovups 128*\\p+64(%[b]), %%ymm15\n\t"
      ".endif\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s02]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s12]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s22]\n\t"
      ".if %c[copies]\n\t"
      "vmovups 96(%[b]), %%ymm15\n\t"
      "vmovups %%ymm15, 128*\\p+96(%[copy])\n\t"
      ".else\n\t"
      "vmovups 128*\\p+96(%[b]), %%ymm15\n\t"
      ".endif\n\t"
      "vfmadd231ps %%ymm15, %%ymm12, %[s03]\n\t"
      "vfmadd231ps %%ymm15, %%ymm13, %[s13]\n\t"
      "vfmadd231ps %%ymm15, %%ymm14, %[s23]\n\t"
      ".if %c[copies]\n\t"
      "addq %[step], %[b]\n\t"
      ".endif\n\t"
      ".endr\n\t"
      ".if %c[asking] == 1\n\t"
      "prefetcht1 (%[next])\n\t"
      "addq %[by], %[next]\n\t"
      ".endif\n\t"
      ".if %c[asking] == 2\n\t"
      "prefetcht1 (%[next])\n\t"
      "prefetcht1 (%[next], %[by])\n\t"
      "leaq (%[next], %[by], 2), %[next]\n\t"
      ".endif\n\t"
      ".if %c[asking] == 3\n\t"
      "prefetcht0 (%[next])\n\t"
      "prefetcht0 (%[next], %[by])\n\t"
      "prefetcht0 (%[next], %[by], 2)\n\t"
      "addq $32, %[next]\n\t"
      ".endif\n\t"
      ".if %c[copies]\n\t"
      "addq $1024, %[copy]\n\t"
      ".else\n\t"
      "addq $1024, %[b]\n\t"
      ".endif\n\t"
      "addq $96, %[a]\n\t"
      "cmpq %[end], %[a]\n\t"
      "jne 0b"
      : [a] "+r"(a), [b] "+r"(b), [copy] "+r"(copy), [next] "+r"(next.from), [s00] "=&x"(s[0][0]), [s01] "=&x"(s[0][1]),
        [s02] "=&x"(s[0][2]), [s03] "=&x"(s[0][3]), [s10] "=&x"(s[1][0]), [s11] "=&x"(s[1][1]), [s12] "=&x"(s[1][2]),
        [s13] "=&x"(s[1][3]), [s20] "=&x"(s[2][0]), [s21] "=&x"(s[2][1]), [s22] "=&x"(s[2][2]), [s23] "=&x"(s[2][3])
      : [end] "r"(end), [step] "r"(4 * step), [by] "r"(next.step), [row] "i"(4 * Left::of(1, 0)),
        [term] "i"(4 * Left::of(0, 1)), [copies] "i"(requires { Left::copy; } ? 1 : 0),
        [asking] "i"(static_cast<int>(asking))
      : "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory");
}
#endif

}  // namespace tenon::cpu
