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

// To an address that is a multiple of the register's size, past the caches: an ordinary store reads the line first.
// GCC: in an optimised build, as hold() explains.
template <class T, class Isa>
[[gnu::always_inline]] inline void store_past(const Vec<T, Isa>& v, T* p) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<Vec<T, Isa>*>(p));
#elif defined(__x86_64__) && defined(__OPTIMIZE__)
  if constexpr (Isa::bytes == 16) {
    asm("movntps %1, %0" : "=m"(*reinterpret_cast<Vec<T, Isa>*>(p)) : "x"(v));
  } else {
    asm("vmovntps %1, %0" : "=m"(*reinterpret_cast<Vec<T, Isa>*>(p)) : "v"(v));
  }
#else
  store<T, Isa>(v, p);
#endif
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

#endif

// The widest instruction set that the compiler takes for granted.
#if defined(__AVX512F__)
using Granted = Avx512;
#elif defined(__AVX2__) && defined(__FMA__)
using Granted = Avx2;
#else
using Granted = Baseline;
#endif

// Calls use(Isa{}) with the widest instruction set of this processor: sets wider than what the compiler takes for
// granted are asked for when the program runs. With TENON_NATIVE it is compiled for this very processor, which has
// none.
template <class Use>
void with_best_isa(Use&& use) {
#if defined(__x86_64__) && !defined(TENON_NATIVE)
  if constexpr (Granted::bytes < Avx512::bytes) {
    static const bool has = __builtin_cpu_supports("avx512f");
    if (has) return use(Avx512{});
  }
  if constexpr (Granted::bytes < Avx2::bytes) {
    static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has) return use(Avx2{});
  }
#endif
  use(Granted{});
}

}  // namespace tenon::cpu
