// A block of working memory for the length of a scope, from the caching pool.
#pragma once

#include "tenon/core/memory.hpp"
#include "tenon/core/shape.hpp"

namespace tenon::cpu {

using HostPool = CachingPool<HostMemory>;

template <class T>
class Scratch {
 public:
  explicit Scratch(Index count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(HostPool::instance().allocate(bytes_))) {}
  ~Scratch() { HostPool::instance().release(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](Index i) { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace tenon::cpu
