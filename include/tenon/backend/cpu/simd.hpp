// A vector register as a value, by the compilers' vector extensions: what a memory-bound loop needs of it.
//
// Arithmetic, comparison and `condition ? a : b` work as on numbers; a loop is written once and runs on
// registers and, at the end, on single numbers (see for_lanes). Loads and stores need no alignment, and since
// each step loads before it stores, the output may be one of the inputs. The width is that of the instruction
// set that the program is compiled for.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tenon/core/scalar.hpp"
#include "tenon/core/shape.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tenon::cpu {

#if defined(__AVX512F__)
inline constexpr Index register_bytes = 64;
#elif defined(__AVX__)
inline constexpr Index register_bytes = 32;
#else
inline constexpr Index register_bytes = 16;
#endif

// One number at a time, in the type it is computed in.
template <class T>
struct Single {
  using Value = Wide<T>;
  using Ints = Index;
  static constexpr Index lanes = 1;
  template <class U>
  static Value load(const U* p) {
    return static_cast<Value>(*p);
  }
  template <class U>
  static void store(U* p, Value v) {
    *p = static_cast<U>(v);
  }
  template <class U>
  static void stream(U* p, Value v) {
    store(p, v);
  }
  static Ints ints(Index value) { return value; }
  template <class U>
  static Ints load_ints(const U* p) {
    return static_cast<Index>(*p);
  }
  template <class U>
  static void store_ints(U* p, Ints v) {
    *p = static_cast<U>(v);
  }
};

// A register of float or double; other types go one at a time.
template <class T>
struct Register : Single<T> {};

template <class T>
requires(std::same_as<T, float> || std::same_as<T, double>) struct Register<T> {
  typedef T Value __attribute__((vector_size(register_bytes)));
  using Ints = decltype(Value{} < Value{});  // an integer a lane, as wide as T
  using Int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr Index lanes = register_bytes / static_cast<Index>(sizeof(T));
  static Value load(const T* p) {
    Value v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static void store(T* p, Value v) { __builtin_memcpy(p, &v, sizeof v); }

  // A store past the caches, at an address that is a multiple of register_bytes. An ordinary store reads the
  // line first; for an array that the caches cannot hold until it is read, that is a third of a copy's
  // traffic.
  static void stream(T* p, Value v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(reinterpret_cast<float*>(p), (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(reinterpret_cast<float*>(p), (__m256)v);
#elif defined(__x86_64__)
    _mm_stream_ps(reinterpret_cast<float*>(p), (__m128)v);
#else
    store(p, v);
#endif
  }

  // Small integers, kept in memory as type U. (Compilers turn __builtin_convertvector between a byte and a
  // word into one number after the other, the loops into one instruction.)
  static Ints ints(Index value) { return Ints{} + static_cast<Int>(value); }
  template <class U>
  static Ints load_ints(const U* p) {
#if defined(__AVX512F__)
    if constexpr (sizeof(U) == 1 && sizeof(T) == 4) {
      return (Ints)_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
#endif
    Int wide[lanes];
    for (Index i = 0; i < lanes; ++i) wide[i] = p[i];
    Ints v;
    __builtin_memcpy(&v, wide, sizeof v);
    return v;
  }
  template <class U>
  static void store_ints(U* p, Ints v) {
#if defined(__AVX512F__)
    if constexpr (sizeof(U) == 1 && sizeof(T) == 4) {
      return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xFFFF, (__m512i)v));
    }
#endif
    Int wide[lanes];
    __builtin_memcpy(wide, &v, sizeof v);
    for (Index i = 0; i < lanes; ++i) p[i] = static_cast<U>(wide[i]);
  }
};

// From this size on an array that is only written goes past the caches: half of the third-level cache of
// common processors, whose other half is being read.
inline constexpr Index stream_bytes = Index{16} << 20;

// Whether `count` values at p had better be streamed.
template <class T>
bool streams(const T* p, Index count) {
  return count * static_cast<Index>(sizeof(T)) >= stream_bytes &&
         reinterpret_cast<std::uintptr_t>(p) % register_bytes == 0;
}

// Makes this thread's streamed stores visible to others before whatever it stores next.
inline void finish_stream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// body(L, i) for i in 0 … n-1, L::lanes at a time: registers, then single numbers.
template <class T, class Body>
[[gnu::always_inline]] inline void for_lanes(Index n, const Body& body) {
  Index i = 0;
  for (; i + Register<T>::lanes <= n; i += Register<T>::lanes) body(Register<T>{}, i);
  for (; i < n; ++i) body(Single<T>{}, i);
}

// max(v, 0); a NaN stays one.
template <class V>
V rectified(V v) {
  return v < V{} ? V{} : v;
}

// v where the sign of `where` is positive, else 0.
template <class V>
V where_positive(V where, V v) {
  return where > V{} ? v : V{};
}

}  // namespace tenon::cpu
