// A number of threads for the length of a scope.
#pragma once

#include "tenon/core/threads.hpp"

namespace tenon::testing {

class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(thread_count()) { set_thread_count(threads); }
  ~ThreadScope() { set_thread_count(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace tenon::testing
