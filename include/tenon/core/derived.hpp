// Other forms of some data, kept beside it: weights in the order in which a kernel reads them, say, which take
// as long to make as a small convolution takes. They are made when first asked for and gone once the data is
// written.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tenon/core/shape.hpp"

namespace tenon {

class Derived {
 public:
  // The form of type Form: what make() gave, a std::shared_ptr<const Form>, when it was first called for the
  // data at `of`, taken to have this shape. Several threads may ask at once; one of them makes it.
  template <class Form, class Make>
  std::shared_ptr<const Form> get(const void* of, const Shape& shape, const Make& make) {
    static constexpr char form{};  // its address stands for the type
    const std::lock_guard lock(guard_);
    for (const Kept& kept : kept_) {
      if (kept.form == &form && kept.of == of && kept.shape == shape)
        return std::static_pointer_cast<const Form>(kept.made);
    }
    std::shared_ptr<const Form> made = make();
    kept_.push_back({&form, of, shape, made});
    any_.store(true, std::memory_order_relaxed);
    return made;
  }

  // Whoever writes the data calls this first; it costs a test of a flag where nothing was derived.
  void drop() noexcept {
    if (!any_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(guard_);
    kept_.clear();
    any_.store(false, std::memory_order_relaxed);
  }

 private:
  struct Kept {
    const void* form;
    const void* of;
    Shape shape;
    std::shared_ptr<const void> made;
  };

  std::mutex guard_;
  std::vector<Kept> kept_;
  std::atomic<bool> any_ = false;
};

}  // namespace tenon
