// A pool of threads for short loops. Work is claimed piece by piece, also by the caller, who then waits only for
// pieces that somebody has begun: on a busy machine a thread that is not running holds nobody up, where a
// fork-join barrier would wait for it.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tenon/core/affinity.hpp"
#include "tenon/core/shape.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tenon {

class ThreadPool {
 public:
  // The pool of the process; its threads start when they are first needed and end with the program.
  static ThreadPool& instance() {
    static ThreadPool pool;
    return pool;
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  ~ThreadPool() {
    stopping_.store(true);
    announce();
    for (std::thread& t : threads_) t.join();
  }

  // Calls body(i) for i = 0 … count-1, each once, in any order, on at most `threads` threads. The first
  // exception reaches the caller. Called from inside a loop, or while another thread is in one, it runs serially.
  template <class Body>
  void run(Index count, int threads, Body& body) {
    if (inside_ || !turn_.try_lock()) {
      for (Index i = 0; i < count; ++i) body(i);
      return;
    }
    const std::lock_guard release(turn_, std::adopt_lock);
    start_threads(threads - 1);
    call_ = [](const void* target, Index i) { (*static_cast<Body*>(const_cast<void*>(target)))(i); };
    body_ = std::addressof(body);
    count_ = count;
    helpers_ = threads - 1;
    failure_ = nullptr;
    next_.store(0);
    open_.store(true);
    announce();
    work();
    open_.store(false);
    for (int spins = 0; active_.load() != 0; ++spins) relax(spins);
    // Taken out, so that the exception dies with its handler and not in somebody else's next loop.
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  ThreadPool() { detail::bind_thread(0); }

  void announce() {
    generation_.fetch_add(1);
    generation_.notify_all();
  }

  void start_threads(int wanted) {
    while (static_cast<int>(threads_.size()) < wanted) {
      threads_.emplace_back([this, id = static_cast<int>(threads_.size()), seen = generation_.load()] { serve(id, seen); });
    }
  }

  // Claims pieces until none is left.
  void work() {
    inside_ = true;
    for (Index i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) {
      try {
        call_(body_, i);
      } catch (...) {
        const std::lock_guard lock(failure_guard_);
        if (!failure_) failure_ = std::current_exception();
      }
    }
    inside_ = false;
  }

  void serve(int id, unsigned seen) {
    detail::bind_thread(static_cast<std::size_t>(id) + 1);
    while (!stopping_.load()) {
      // A helper first counts itself in and then looks whether the loop is open; the caller closes the loop and
      // then waits for the count to fall. One of the two sees the other, so no helper outstays the loop.
      active_.fetch_add(1);
      if (open_.load() && id < helpers_.load()) work();
      active_.fetch_sub(1);
      for (int spins = 0; spins < 4000 && generation_.load() == seen; ++spins) pause();  // some 50 µs
      generation_.wait(seen);
      seen = generation_.load();
    }
  }

  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
  }
  static void relax(int spins) {
    if (spins < 1000) pause();
    else std::this_thread::yield();
  }

  inline static thread_local bool inside_ = false;

  std::mutex turn_;  // held by the one caller whose loop is running
  std::vector<std::thread> threads_;
  void (*call_)(const void*, Index) = nullptr;
  const void* body_ = nullptr;
  Index count_ = 0;
  std::mutex failure_guard_;
  std::exception_ptr failure_;
  std::atomic<int> helpers_ = 0;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<Index> next_ = 0;
  alignas(64) std::atomic<int> active_ = 0;
  alignas(64) std::atomic<bool> open_ = false;
  alignas(64) std::atomic<unsigned> generation_ = 0;
};

}  // namespace tenon
