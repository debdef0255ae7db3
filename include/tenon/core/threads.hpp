// Threads: loops over independent pieces of work, on OpenMP where the compiler has it and serial otherwise.
//
// A result must not depend on the number of threads, so a caller cuts its work into pieces by the size of the
// problem alone (see fixed_pieces) and combines partial results in the order of the pieces.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "tenon/core/shape.hpp"

namespace tenon {

namespace detail {

inline int default_thread_count() {
  if (const char* wish = std::getenv("TENON_NUM_THREADS")) {
    const int count = std::atoi(wish);
    if (count >= 1) return count;
  }
#ifdef _OPENMP
  return std::max(1, omp_get_max_threads());
#else
  return 1;
#endif
}

inline int& thread_setting() {
  static int count = default_thread_count();
  return count;
}

}  // namespace detail

// How many threads the loops below use: TENON_NUM_THREADS, or all cores, until set.
inline int thread_count() { return detail::thread_setting(); }

inline void set_thread_count(int count) {
  require<ValueError>(count >= 1, "set_thread_count: ", count, " threads, expected at least 1");
  detail::thread_setting() = count;
}

// Calls body(i) for i = 0 … count-1 in any order. The first exception reaches the caller. Inside another
// parallel loop it runs serially.
template <class Body>
void parallel_for(Index count, Body&& body) {
#ifdef _OPENMP
  if (thread_count() > 1 && count > 1 && !omp_in_parallel()) {
    std::exception_ptr failure;
    std::mutex guard;
    const int threads = static_cast<int>(std::min<Index>(thread_count(), count));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (Index i = 0; i < count; ++i) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!failure) failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
    return;
  }
#endif
  for (Index i = 0; i < count; ++i) body(i);
}

// Cuts 0 … count-1 into ranges of `grain` and calls body(begin, end) for each. One range runs in place.
template <class Body>
void parallel_ranges(Index count, Index grain, Body&& body) {
  if (count <= 0) return;
  if (count <= grain) return body(Index{0}, count);
  const Index pieces = (count + grain - 1) / grain;
  parallel_for(pieces, [&](Index p) { body(p * grain, std::min(count, (p + 1) * grain)); });
}

// Into how many pieces a reduction over `count` items is cut: enough for balance, at least `grain` items
// each, and whatever the number of threads.
inline Index fixed_pieces(Index count, Index grain, Index at_most = 32) {
  return std::clamp<Index>(count / std::max<Index>(grain, 1), 1, at_most);
}

}  // namespace tenon
