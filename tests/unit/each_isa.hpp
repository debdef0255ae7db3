// The instruction sets of this processor, for tests that run a kernel on each. Those that a program compiled for this
// very processor has no use for are not compiled.
#pragma once

#include "tenon/backend/cpu/isa.hpp"

namespace tenon::testing {

template <class Use>
void each_isa(const Use& use) {
  use(cpu::Baseline{}, "baseline");
#if defined(__x86_64__)
#if !defined(TENON_NATIVE)
  constexpr int widest = cpu::Avx512::bytes;
#else
  constexpr int widest = cpu::Granted::bytes;
#endif
  if constexpr (widest >= cpu::Avx2::bytes) {
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) use(cpu::Avx2{}, "avx2");
  }
  if constexpr (widest >= cpu::Avx512::bytes) {
    if (__builtin_cpu_supports("avx512f")) use(cpu::Avx512{}, "avx512");
  }
#endif
}

}  // namespace tenon::testing
