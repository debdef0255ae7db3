// The caching pool, over a source that counts and can run out.
#include <cstdint>
#include <set>
#include <vector>

#include "close.hpp"
#include "tenon/core/memory.hpp"

using namespace tenon;

namespace {

struct Counted {
  static inline std::size_t live = 0, bytes = 0, limit = 0;
  static inline int allocations = 0;
  static inline std::set<std::pair<std::uintptr_t, std::size_t>> blocks{};

  static void reset() {
    live = bytes = 0;
    limit = std::size_t{1} << 30;
    allocations = 0;
  }
  static void* allocate(std::size_t size) {
    if (bytes + size > limit) return nullptr;
    void* block = HostMemory::allocate(size);
    blocks.insert({reinterpret_cast<std::uintptr_t>(block), size});
    ++live;
    ++allocations;
    bytes += size;
    return block;
  }
  static void release(void* block) {
    const auto found = blocks.lower_bound({reinterpret_cast<std::uintptr_t>(block), 0});
    bytes -= found->second;
    blocks.erase(found);
    --live;
    HostMemory::release(block);
  }
};

struct Fixture {
  CachingPool<Counted> pool;
  bool caching = true;
  Fixture() {
    Counted::reset();
    void* probe = pool.allocate(64);  // under AddressSanitizer the pool keeps nothing
    pool.release(probe, 64);
    caching = pool.stats().cached > 0;
    pool.trim();
    pool.reset_peak();
    Counted::allocations = 0;
  }
  ~Fixture() { pool.trim(); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "pool: a released block of the same class is used again") {
  void* a = pool.allocate(1000);
  pool.release(a, 1000);
  void* b = pool.allocate(990);
  if (caching) {
    CHECK(a == b);
    CHECK(Counted::allocations == 1);
  }
  pool.release(b, 990);
  CHECK(pool.stats().in_use == 0);
}

TEST_CASE_FIXTURE(Fixture, "pool: blocks are as large as asked, and not much larger") {
  std::size_t before = 0;
  for (std::size_t bytes = 0; bytes < 5000; ++bytes) {
    void* block = pool.allocate(bytes);
    const std::size_t given = pool.stats().in_use;
    CHECK(given >= bytes);
    CHECK(given <= std::max<std::size_t>(64, bytes + bytes / 4 + 1));
    CHECK(given >= before);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % 64 == 0);
    before = given;
    pool.release(block, bytes);
  }
}

TEST_CASE_FIXTURE(Fixture, "pool: counts what is in use, its peak and what is kept") {
  void* a = pool.allocate(1024);
  void* b = pool.allocate(2048);
  CHECK(pool.stats().in_use == 3072);
  pool.release(a, 1024);
  CHECK(pool.stats().in_use == 2048);
  CHECK(pool.stats().peak == 3072);
  if (caching) CHECK(pool.stats().cached == 1024);
  pool.reset_peak();
  CHECK(pool.stats().peak == 2048);
  pool.release(b, 2048);
  pool.trim();
  CHECK(pool.stats().cached == 0);
  CHECK(Counted::live == 0);
}

TEST_CASE_FIXTURE(Fixture, "pool: gives back what it keeps before it reports that memory is out") {
  Counted::limit = 4096;
  void* a = pool.allocate(3072);
  pool.release(a, 3072);
  void* b = pool.allocate(4096);  // fits only once the first block is gone
  CHECK(Counted::live == 1);
  CHECK(testing::error_text<DeviceError>([&] { pool.allocate(64); }) ==
        "out of memory: 64 bytes asked, 4096 in use");
  pool.release(b, 4096);
  CHECK_THROWS_AS(pool.allocate(std::size_t{1} << 63), DeviceError);
}

TEST_CASE("pool: tensors give their memory back") {
  const auto before = Backend<Cpu>::memory_stats().in_use;
  {
    const Tensor<float> x({1000});
    const auto view = x.rows(3, 5);
    CHECK(Backend<Cpu>::memory_stats().in_use >= before + 4000);
  }
  CHECK(Backend<Cpu>::memory_stats().in_use == before);
}
