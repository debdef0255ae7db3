// Loops over independent pieces of work, on as many threads as asked for.
//
// A result must not depend on the number of threads, so a caller cuts its work into pieces by the size of the
// problem alone (see fixed_pieces) and combines partial results in the order of the pieces.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "tenon/core/thread_pool.hpp"

namespace tenon {

namespace detail {

inline int default_thread_count() {
  if (const char* wish = std::getenv("TENON_NUM_THREADS")) {
    const int count = std::atoi(wish);
    if (count >= 1) return std::min(count, 1024);
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

inline std::atomic<int>& thread_setting() {
  static std::atomic<int> count = default_thread_count();
  return count;
}

}  // namespace detail

// How many threads the loops below use: TENON_NUM_THREADS, or all cores, until set.
inline int thread_count() { return detail::thread_setting(); }

inline void set_thread_count(int count) {
  require<ValueError>(count >= 1 && count <= 1024, "set_thread_count: ", count, " threads, expected 1 to 1024");
  detail::thread_setting() = count;
}

// How many would share a loop that began here: inside another parallel loop, one.
inline int available_threads() { return ThreadPool::inside() ? 1 : thread_count(); }

// Calls body(i) for i = 0 … count-1 in any order. The first exception reaches the caller. Inside another
// parallel loop it runs serially. Loops of equal length over the same data give each thread the same part of it.
template <class Body>
void parallel_for(Index count, Body&& body) {
  const int threads = static_cast<int>(std::min<Index>(thread_count(), count));
  if (threads > 1) return ThreadPool::instance().run(count, threads, false, body);
  for (Index i = 0; i < count; ++i) body(i);
}

// The same, but each thread takes its part from the end: first what it wrote last, which is still in its caches.
template <class Body>
void parallel_for_backwards(Index count, Body&& body) {
  const int threads = static_cast<int>(std::min<Index>(thread_count(), count));
  if (threads > 1) return ThreadPool::instance().run(count, threads, true, body);
  for (Index i = count; i-- > 0;) body(i);
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
