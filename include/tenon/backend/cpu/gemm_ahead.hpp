// Asking for what a product reads next.
#pragma once

#include <algorithm>
#include <utility>

#include "tenon/backend/cpu/isa.hpp"
#include "tenon/core/shape.hpp"

namespace tenon::cpu {

// Lines of memory, `step` bytes from one to the next.
struct AskedLines {
  const void* from = nullptr;
  Index step = 0;
};

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

  // What a tile in one piece asks for in passing, where ask() would interrupt it: `count` lines, one of each row and
  // then those beside them. The last ones may be past the last row.
  AskedLines take(Index count) {
    if (rows_.stride == 0) {
      const AskedLines lines{at_, 64};
      at_ += count * line;
      if (at_ >= end_) end_row();
      return lines;
    }
    const AskedLines lines{at_ + row_ * rows_.stride, rows_.stride * static_cast<Index>(sizeof(T))};
    row_ += count;
    if (row_ >= rows_.count) {
      row_ = 0;
      at_ += line;
      if (at_ >= end_) end_rows();
    }
    return lines;
  }
  Index lines_with_a_run() const { return values_ / line; }

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
    if (--rows_.count == 0) return end_rows();
    rows_.data += rows_.stride;
    begin_row();
  }
  void end_rows() {
    rows_ = std::exchange(then_, {});
    at_ = nullptr;
    if (!rows_.empty()) begin_row();
  }

  Rows rows_{}, then_{};
  const T *at_ = nullptr, *end_ = nullptr;  // what is left of a row
  Index values_ = line;                     // asked for with a run
  Index row_ = 0;                           // of a walk down the rows
};

}  // namespace tenon::cpu
