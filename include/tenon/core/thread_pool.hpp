// A pool of threads for short loops. Every thread has a section of the pieces, the same share of each loop: what it
// wrote in one it finds in its own caches in the next. It claims them piece by piece, and then those of the others.
// The caller works too and waits only for pieces that somebody has begun: on a busy machine a thread that is not
// running holds nobody up, where a fork-join barrier would wait for it.
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

  // Calls body(i) for i = 0 … count-1, each once, in any order, on at most `threads` threads; each takes its section
  // forwards or backwards. The first exception reaches the caller. Called from inside a loop, or while another thread
  // is in one, it runs serially.
  template <class Body>
  void run(Index count, int threads, bool backwards, Body& body) {
    if (inside_ || !turn_.try_lock()) {
      for (Index i = 0; i < count; ++i) body(backwards ? count - 1 - i : i);
      return;
    }
    const std::lock_guard release(turn_, std::adopt_lock);
    start_threads(threads - 1);
    call_ = [](const void* target, Index i) { (*static_cast<Body*>(const_cast<void*>(target)))(i); };
    body_ = std::addressof(body);
    backwards_ = backwards;
    helpers_ = threads - 1;
    failure_ = nullptr;
    if (sections_.size() < static_cast<std::size_t>(threads))
      sections_ = std::vector<Section>(static_cast<std::size_t>(threads));
    section_count_ = static_cast<std::size_t>(threads);
    for (int t = 0; t < threads; ++t) {
      Section& section = sections_[static_cast<std::size_t>(t)];
      section.begin = count * t / threads;
      section.end = count * (t + 1) / threads;
      section.claimed.store(0);
    }
    open_.store(true);
    announce();
    work(0);
    open_.store(false);
    for (int spins = 0; active_.load() != 0; ++spins) relax(spins);
    // Taken out, so that the exception dies with its handler and not in somebody else's next loop.
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  // Whether this thread is inside a loop, so that another one would run serially.
  static bool inside() { return inside_; }

 private:
  ThreadPool() { detail::bind_thread(0); }

  void announce() {
    generation_.fetch_add(1);
    generation_.notify_all();
  }

  void start_threads(int wanted) {
    while (static_cast<int>(threads_.size()) < wanted) {
      threads_.emplace_back(
          [this, id = static_cast<int>(threads_.size()), seen = generation_.load()] { serve(id, seen); });
    }
  }

  // The pieces of one thread, on a cache line of its own.
  struct alignas(64) Section {
    std::atomic<Index> claimed = 0;
    Index begin = 0, end = 0;
  };

  // Claims pieces until none is left, those of section `own` first.
  void work(std::size_t own) {
    inside_ = true;
    for (std::size_t step = 0; step < section_count_; ++step) {
      Section& section = sections_[(own + step) % section_count_];
      const Index size = section.end - section.begin;
      for (Index i = section.claimed.fetch_add(1); i < size; i = section.claimed.fetch_add(1)) {
        try {
          call_(body_, backwards_ ? section.end - 1 - i : section.begin + i);
        } catch (...) {
          const std::lock_guard lock(failure_guard_);
          if (!failure_) failure_ = std::current_exception();
        }
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
      if (open_.load() && id < helpers_.load()) work(static_cast<std::size_t>(id) + 1);
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
  bool backwards_ = false;
  std::vector<Section> sections_;  // of the largest loop so far
  std::size_t section_count_ = 0;  // those in use
  std::mutex failure_guard_;
  std::exception_ptr failure_;
  std::atomic<int> helpers_ = 0;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<int> active_ = 0;
  alignas(64) std::atomic<bool> open_ = false;
  alignas(64) std::atomic<unsigned> generation_ = 0;
};

}  // namespace tenon
