// Parallel loops: every piece once, the first exception through, and no nesting.
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "close.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::ThreadScope;

TEST_CASE("parallel_for: every index once") {
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    std::vector<int> calls(1001);
    parallel_for(1001, [&](Index i) { ++calls[static_cast<std::size_t>(i)]; });
    CHECK(std::count(calls.begin(), calls.end(), 1) == 1001);
    parallel_for(0, [&](Index) { calls[0] = 5; });
    CHECK(calls[0] == 1);
  }
}

TEST_CASE("parallel_for_backwards: every index once, by one thread from the last to the first") {
  for (const int threads : {1, 2, 3, 5}) {
    const ThreadScope scope(threads);
    for (const Index count : {0, 1, 2, 4, 5, 1001}) {
      std::vector<int> calls(static_cast<std::size_t>(count));
      parallel_for_backwards(count, [&](Index i) { ++calls[static_cast<std::size_t>(i)]; });
      CHECK(std::count(calls.begin(), calls.end(), 1) == count);
    }
  }
  const ThreadScope alone(1);
  std::vector<Index> order;
  parallel_for_backwards(4, [&](Index i) { order.push_back(i); });
  CHECK(order == std::vector<Index>{3, 2, 1, 0});
}

TEST_CASE("parallel_for: who is done with its own pieces takes those of a thread that is held up") {
  const ThreadScope scope(2);
  std::atomic<int> done{0};
  parallel_for(8, [&](Index i) {
    while (i == 4 && done < 7) std::this_thread::yield();  // the first of the second thread's
    ++done;
  });
  CHECK(done == 8);
}

TEST_CASE("parallel_for: an exception reaches the caller") {
  for (const int threads : {1, 2}) {
    const ThreadScope scope(threads);
    CHECK(testing::error_text<ValueError>([] {
            parallel_for(100, [](Index i) { require<ValueError>(i != 57, "piece ", i); });
          }) == "piece 57");
    std::atomic<int> calls{0};
    parallel_for(10, [&](Index) { ++calls; });
    CHECK(calls == 10);
  }
}

TEST_CASE("parallel_for: inside another it still does all the work") {
  const ThreadScope scope(2);
  std::vector<int> calls(12 * 7);
  parallel_for(
      12, [&](Index i) { parallel_for(7, [&](Index j) { ++calls[static_cast<std::size_t>(i * 7 + j)]; }); });
  CHECK(std::count(calls.begin(), calls.end(), 1) == 12 * 7);
}

TEST_CASE("available_threads: one inside a parallel loop") {
  const ThreadScope scope(3);
  CHECK(available_threads() == 3);
  std::vector<int> seen(20);
  parallel_for(20, [&](Index i) { seen[static_cast<std::size_t>(i)] = available_threads(); });
  CHECK(std::count(seen.begin(), seen.end(), 1) == 20);
  CHECK(available_threads() == 3);
}

TEST_CASE("parallel_ranges: ranges cover everything and respect the grain") {
  const ThreadScope scope(2);
  std::vector<int> calls(1000);
  std::atomic<Index> longest{0};
  parallel_ranges(1000, 64, [&](Index begin, Index end) {
    for (Index now = longest; end - begin > now && !longest.compare_exchange_weak(now, end - begin);) {}
    for (Index i = begin; i < end; ++i) ++calls[static_cast<std::size_t>(i)];
  });
  CHECK(std::count(calls.begin(), calls.end(), 1) == 1000);
  CHECK(longest == 64);
  parallel_ranges(0, 8, [&](Index, Index) { calls[0] = 9; });
  CHECK(calls[0] == 1);
}

TEST_CASE("fixed_pieces: by the size of the problem alone") {
  CHECK(fixed_pieces(0, 100) == 1);
  CHECK(fixed_pieces(99, 100) == 1);
  CHECK(fixed_pieces(1000, 100) == 10);
  CHECK(fixed_pieces(1000000, 100) == 32);
  CHECK(fixed_pieces(1000000, 0, 4) == 4);
}

TEST_CASE("set_thread_count: at least one") {
  CHECK(testing::error_text<ValueError>([] { set_thread_count(0); }) ==
        "set_thread_count: 0 threads, expected 1 to 1024");
}
