// One thread a processor, for those who ask: with TENON_BIND_THREADS=1 each thread of the pool stays on a
// processor of its own, and so does the one that calls first. Left to itself the system may put two threads on
// one processor for a while, which a measurement of milliseconds would see.
#pragma once

#include <cstdlib>
#include <string_view>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace tenon::detail {

// Binds the calling thread to the i-th of the processors that the process might use when this was first called;
// with more threads than processors they share.
inline void bind_thread([[maybe_unused]] std::size_t i) {
#if defined(__linux__)
  static const std::vector<std::size_t> processors = [] {
    std::vector<std::size_t> found;
    const char* wish = std::getenv("TENON_BIND_THREADS");
    cpu_set_t allowed;
    if (!wish || std::string_view(wish) != "1" || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return found;
    for (std::size_t p = 0; p < CPU_SETSIZE; ++p) {
      if (CPU_ISSET(p, &allowed)) found.push_back(p);
    }
    return found;
  }();
  if (processors.empty()) return;
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(processors[i % processors.size()], &own);
  pthread_setaffinity_np(pthread_self(), sizeof own, &own);
#endif
}

}  // namespace tenon::detail
