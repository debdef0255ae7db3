// Instruction sets. Kernels are written once, with the compilers' vector extensions, and compiled for each of
// these; which one runs is decided when the program runs, so one binary serves old and new processors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// `bytes` of a vector register; `rows` × `vectors` is the register tile of Winograd's products and, with rows of
// their own, of the scores between points: accumulators, with `vectors` registers for B and one for A. Eight or
// more accumulators hide the latency of multiply-add.
struct Baseline {
  static constexpr int bytes = 16, rows = 6, vectors = 2;
};  // 16 registers: SSE2, NEON
struct Avx2 {
  static constexpr int bytes = 32, rows = 6, vectors = 2;
};  // 16 registers
struct Avx512 {
  static constexpr int bytes = 64, rows = 8, vectors = 2;
};  // 32 registers

// A vector register of T.
template <class T, class Isa>
struct VecOf {
  typedef T type __attribute__((vector_size(Isa::bytes)));
};
template <class T, class Isa>
using Vec = typename VecOf<T, Isa>::type;
template <class T, class Isa>
inline constexpr int lanes_of = Isa::bytes / static_cast<int>(sizeof(T));

// Values in a cache line.
template <class T>
inline constexpr int values_of_line = 64 / static_cast<int>(sizeof(T));

// From and to any address. Registers are passed by reference: by value, how depends on the instruction set.
template <class T, class Isa>
[[gnu::always_inline]] inline void load(const T* p, Vec<T, Isa>& v) {
  __builtin_memcpy(&v, p, sizeof(v));
}
template <class T, class Isa>
[[gnu::always_inline]] inline void store(const Vec<T, Isa>& v, T* p) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// From an address that is a multiple of the register's size, once: a compiler would rather read a value from
// memory at each use than hold it, which is the slower where loads are what limits a loop.
template <class T, class Isa>
[[gnu::always_inline]] inline void load_once(const T* p, Vec<T, Isa>& v) {
  v = *reinterpret_cast<const volatile Vec<T, Isa>*>(p);
}

// Keeps a value in the register where it is: where several terms are unrolled, GCC would move sums about, or read a
// value from memory at each use. In an unoptimised build nothing is inlined into a function compiled for the set, and
// it stays in memory.
template <class V>
[[gnu::always_inline]] inline void hold([[maybe_unused]] V& v) {
#if defined(__x86_64__) && !defined(__clang__)
  asm("" : "+v,m"(v));
#endif
}
// The same until here, for a value that has served.
template <class V>
[[gnu::always_inline]] inline void keep([[maybe_unused]] const V& v) {
#if defined(__x86_64__) && !defined(__clang__)
  asm("" : : "v,m"(v));
#endif
}

// Of a register tile with `rows` rows, those that are enough to keep the processor busy.
constexpr int few_rows(int rows) { return rows < 6 ? rows : (rows / 2 + 3) / 4 * 4; }

// Runs a function as compiled for an instruction set, with what it calls inlined. It must not start parallel
// loops: those call back through a pointer, which is not compiled for the set. It stays a function of its own even
// where the caller is compiled for the set too, as with -march=native: with the caller's variables beside them, the
// innermost loops ran out of registers for addresses.
template <class Isa>
struct CompiledFor {
  template <class F>
  [[gnu::noinline, gnu::flatten]] static void run(F&& f) {
    f();
  }
};

#if defined(__x86_64__)
template <>
struct CompiledFor<Avx2> {
  template <class F>
  [[gnu::noinline, gnu::target("avx2,fma"), gnu::flatten]] static void run(F&& f) {
    f();
  }
};

template <>
struct CompiledFor<Avx512> {
  template <class F>
  [[gnu::noinline, gnu::target("avx512f,fma"), gnu::flatten]] static void run(F&& f) {
    f();
  }
};

// Calls use(Isa{}) with the widest instruction set of this processor. A set that the compiler takes for granted is not
// asked for, and narrower ones are then not compiled.
template <class Use>
void with_best_isa(Use&& use) {
#if defined(__AVX512F__)
  use(Avx512{});
#else
  static const bool widest = __builtin_cpu_supports("avx512f");
  if (widest) return use(Avx512{});
#if defined(__AVX2__) && defined(__FMA__)
  use(Avx2{});
#else
  static const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (wide) return use(Avx2{});
  use(Baseline{});
#endif
#endif
}
#else
template <class Use>
void with_best_isa(Use&& use) {
  use(Baseline{});
}
#endif

}  // namespace tenon::cpu
