// The pool under strain: callers side by side, failures, loops inside loops, changing thread counts.
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "close.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ThreadScope;

namespace {

// Runs action(caller) on several threads at once and joins them.
template <class Action>
void side_by_side(int callers, const Action& action) {
  std::vector<std::thread> threads;
  for (int c = 0; c < callers; ++c) threads.emplace_back([&action, c] { action(c); });
  for (std::thread& t : threads) t.join();
}

// 0 + 1 + … + count-1, by a loop that writes without locks.
Index sum_by_loop(Index count) {
  std::vector<Index> values(static_cast<std::size_t>(count));
  parallel_for(count, [&](Index i) { values[static_cast<std::size_t>(i)] += i; });
  return std::accumulate(values.begin(), values.end(), Index{0});
}

}  // namespace

TEST_CASE("thread pool: thousands of short loops, each complete when it returns") {
  const ThreadScope scope(4);
  Index wrong = 0;
  for (Index n = 0; n < 4000; ++n) wrong += sum_by_loop(n % 17) != (n % 17) * (n % 17 - 1) / 2;
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: callers on threads of their own do not disturb each other") {
  const ThreadScope scope(3);
  std::atomic<int> wrong{0};
  side_by_side(5, [&](int caller) {
    for (int n = 0; n < 400; ++n) {
      const Index count = 20 + caller;
      if (sum_by_loop(count) != count * (count - 1) / 2) ++wrong;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: each caller gets its own exception, and no other") {
  const ThreadScope scope(3);
  std::atomic<int> wrong{0};
  side_by_side(4, [&](int caller) {
    for (int n = 0; n < 200; ++n) {
      std::string message = "none";
      try {
        parallel_for(16,
                     [&](Index i) { require<ValueError>(caller == 0 || i != caller, "caller ", caller); });
      } catch (const ValueError& error) { message = error.what(); }
      if (message != (caller == 0 ? "none" : text("caller ", caller))) ++wrong;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("thread pool: after an exception in every piece the next loop is whole") {
  for (const int threads : {1, 2, 5}) {
    const ThreadScope scope(threads);
    for (int n = 0; n < 50; ++n) {
      CHECK_THROWS_AS(parallel_for(8, [](Index) { throw ValueError("no"); }), ValueError);
      CHECK(sum_by_loop(100) == 4950);
    }
  }
}

TEST_CASE("thread pool: an exception that is no std::exception, and one from a loop inside a loop") {
  const ThreadScope scope(2);
  int caught = 0;
  try {
    parallel_for(4, [](Index i) {
      if (i == 2) throw 42;
    });
  } catch (int value) { caught = value; }
  CHECK(caught == 42);
  CHECK(testing::error_text<ValueError>([] {
          parallel_for(4, [](Index i) {
            parallel_for(4, [&](Index j) { require<ValueError>(i * 4 + j != 11, "piece ", i, ".", j); });
          });
        }) == "piece 2.3");
}

TEST_CASE("thread pool: three loops inside each other") {
  const ThreadScope scope(3);
  std::vector<int> calls(5 * 4 * 3);
  parallel_for(5, [&](Index i) {
    parallel_for(4, [&](Index j) {
      parallel_for(3, [&](Index k) { ++calls[static_cast<std::size_t>((i * 4 + j) * 3 + k)]; });
    });
  });
  CHECK(std::count(calls.begin(), calls.end(), 1) == 60);
}

TEST_CASE("thread pool: the count may change between loops, and within one") {
  for (const int threads : {4, 1, 7, 2, 16, 3}) {
    const ThreadScope scope(threads);
    CHECK(thread_count() == threads);
    CHECK(sum_by_loop(501) == 501 * 250);
  }
  const ThreadScope scope(2);
  std::atomic<Index> sum{0};
  parallel_for(100, [&](Index i) {
    if (i == 10) set_thread_count(5);
    sum += i;
  });
  CHECK(sum == 4950);
  CHECK(thread_count() == 5);
}

TEST_CASE("thread pool: no more threads work than were asked for") {
  {
    const ThreadScope many(6);
    CHECK(sum_by_loop(64) == 2016);
  }  // the pool now has five helpers
  const ThreadScope scope(2);
  std::atomic<int> inside{0}, most{0};
  for (int n = 0; n < 50; ++n) {
    parallel_for(32, [&](Index) {
      const int now = ++inside;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
      std::this_thread::yield();
      --inside;
    });
  }
  CHECK(most >= 1);
  CHECK(most <= 2);
}

TEST_CASE("thread pool: loops of no piece and of one") {
  const ThreadScope scope(4);
  int calls = 0;
  parallel_for(0, [&](Index) { ++calls; });
  parallel_for(-3, [&](Index) { ++calls; });
  CHECK(calls == 0);
  const auto caller = std::this_thread::get_id();
  parallel_for(1, [&](Index) { calls += std::this_thread::get_id() == caller; });
  CHECK(calls == 1);
}
