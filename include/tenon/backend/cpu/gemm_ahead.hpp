// Asking for what a product reads next.
#pragma once

#include <algorithm>
#include <utility>

#include "tenon/backend/cpu/isa.hpp"
#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// What is read next, from main memory: the processor by itself fetches it hardly sooner than it is used. While tiles
// are made, the second-level cache is asked for some lines with each run of terms. A processor waits for two dozen
// lines at a time: more at once, and the tiles wait too.
template <class T>
class Ahead {
 public:
  struct Rows {
    const T* data = nullptr;
    Index stride = 0, width = 0, count = 0;  // from one to the next, and values of each

    bool empty() const { return width <= 0 || count <= 0; }
    // Of so many values, that ask for all.
    Index runs(Index values) const { return empty() ? 0 : count * ((width + values - 1) / values); }
  };

  Ahead() = default;
  // Asked for in `runs` runs of terms, each within a row.
  Ahead(const Rows& first, const Rows& then, Index runs)
      : rows_(joined(first.empty() ? then : first)), then_(first.empty() ? Rows{} : joined(then)) {
    if (rows_.empty()) return;
    begin_row();
    for (const Index most = std::max(rows_.width, then_.width); values_ < most; values_ += line) {
      if (rows_.runs(values_) + then_.runs(values_) <= runs) break;
    }
  }

  bool more() const { return at_ != nullptr; }

  [[gnu::always_inline]] void ask() {
    if (!at_) return;
    const T* const until = std::min(at_ + values_, end_);
    for (; at_ < until; at_ += line) __builtin_prefetch(at_, 0, 2);
    if (at_ >= end_) end_row();
  }

 private:
  static constexpr Index line = values_of_line<T>;

  // Rows that lie one after the other are one.
  static Rows joined(const Rows& rows) {
    return rows.stride == rows.width ? Rows{rows.data, 0, rows.width * rows.count, rows.empty() ? 0 : Index{1}} : rows;
  }

  void begin_row() {
    at_ = rows_.data;
    end_ = at_ + rows_.width;
  }
  void end_row() {
    at_ = nullptr;
    rows_.data += rows_.stride;
    if (--rows_.count == 0) rows_ = std::exchange(then_, {});
    if (!rows_.empty()) begin_row();
  }

  Rows rows_{}, then_{};
  const T *at_ = nullptr, *end_ = nullptr;  // what is left of a row
  Index values_ = line;                     // asked for with a run
};

}  // namespace tenon::cpu
