// Lines of windows: some lines of the grid that patches lie on, with the pixels under their windows in one
// array where no window leaves it. A window's values are then at fixed distances from its first one, and the
// windows of a line at a fixed distance from each other: nothing is tested and nothing gathered.
//
// Where no window leaves the picture, the lines lie in the picture; elsewhere the pixels are copied, with
// zeros around them.
#pragma once

#include <optional>

#include "tenon/backend/cpu/patches.hpp"

namespace tenon::cpu {

template <class T>
class PatchLines {
 public:
  explicit PatchLines(const Patches<T>& patches)
      : p_(patches),
        top_(p_.offset_y.front()),
        reach_(p_.offset_y.back() - top_ + 1),
        left_(std::max<Index>(0, -p_.offset_x.front())),
        right_(std::max<Index>(0, (p_.grid_w - 1) * p_.stride_w + p_.offset_x.back() - (p_.w - 1))),
        copied_(left_ > 0 || right_ > 0 || top_ < 0 ||
                (p_.grid_h - 1) * p_.stride_h + p_.offset_y.back() >= p_.h),
        pixel_(copied_ ? p_.group_c + (p_.group_c % 64 == 0 ? 16 : 0) : p_.c),
        line_(copied_ ? (left_ + p_.w + right_) * pixel_ : p_.w * p_.c) {}

  // How many lines to take: whole blocks of terms, up to four of them where the second-level cache has room.
  Index lines_at_once() const {
    const Index bytes = gemm_depth * step() * p_.stride_h * static_cast<Index>(sizeof(T));
    return std::max<Index>(1, std::clamp<Index>((Index{1} << 17) / bytes, 1, 4) * gemm_depth / p_.grid_w);
  }

  Index width() const { return p_.grid_w; }

  // From one window of a line to the next.
  Index step() const { return p_.stride_w * pixel_; }

  // Where a window's values are, relative to its first one; `more` times the last one comes after them.
  std::vector<Index> taps(Index more) const {
    std::vector<Index> found;
    for (const Index y : p_.offset_y) {
      for (const Index x : p_.offset_x) {
        const Index at = (y - top_) * line_ + (x - p_.offset_x.front()) * pixel_;
        for (Index c = 0; c < p_.group_c; ++c) found.push_back(at + c);
      }
    }
    found.insert(found.end(), static_cast<std::size_t>(more), found.back());
    return found;
  }

  // Takes `count` lines of the grid from `first`, which may be lines of several pictures. After that
  // line(i) is the first value of the first window on the i-th of them.
  void take(Index first, Index count) {
    first_.clear();
    const Index parts = (count - 1) / p_.grid_h + 2;
    if (copied_ && !store_) store_.emplace((count * p_.stride_h + parts * reach_) * line_);
    T* out = copied_ ? store_->data() : nullptr;
    for (Index at = first; at < first + count;) {
      const Index n = at / p_.grid_h, gy = at % p_.grid_h,
                  some = std::min(p_.grid_h - gy, first + count - at);
      const Index y = gy * p_.stride_h + top_;
      const T* picture = p_.x + n * p_.h * p_.w * p_.c + p_.first_c;
      const T* from = (copied_ ? out : picture + y * line_) + (p_.offset_x.front() + left_) * pixel_;
      if (copied_) {
        const Index high = (some - 1) * p_.stride_h + reach_;
        for (Index i = 0; i < high; ++i, out += line_) copy_line(picture, y + i, out);
      }
      for (Index i = 0; i < some; ++i) first_.push_back(from + i * p_.stride_h * line_);
      at += some;
    }
  }

  const T* line(Index i) const { return first_[static_cast<std::size_t>(i)]; }

 private:
  void copy_line(const T* picture, Index y, T* out) const {
    if (y < 0 || y >= p_.h) {
      std::fill_n(out, line_, T(0));
      return;
    }
    const T* in = picture + y * p_.w * p_.c;
    out = std::fill_n(out, left_ * pixel_, T(0));
    if (pixel_ == p_.c) {
      out = std::copy_n(in, p_.w * p_.c, out);
    } else {
      for (Index x = 0; x < p_.w; ++x, in += p_.c, out += pixel_) std::copy_n(in, p_.group_c, out);
    }
    std::fill_n(out, right_ * pixel_, T(0));
  }

  const Patches<T>& p_;
  Index top_, reach_;   // the first line of pixels under a line of windows, relative to it, and how many
  Index left_, right_;  // columns of zeros beside a picture
  bool copied_;
  // Values from a pixel to the next one and to the one below. Pixels a multiple of 256 bytes apart would
  // share too few sets of the caches.
  Index pixel_, line_;
  std::optional<Scratch<T>> store_;
  std::vector<const T*> first_;
};

// The patches transposed, as the left operand: a row is a tap, and its terms are the windows that were taken.
template <class T>
struct TapRows {
  const PatchLines<T>& lines;
  const Index* taps;  // PatchLines::taps, with as many more as a tile may have too many

  class Reader {
   public:
    Reader(const TapRows& rows, Index start, Index depth) : taps_(rows.taps), step_(rows.lines.step()) {
      const Index wide = rows.lines.width();
      for (Index at = start; at < start + depth;) {
        const Index x = at % wide, length = std::min(wide - x, start + depth - at);
        runs_.push_back({rows.lines.line(at / wide) + x * step_, length});
        at += length;
      }
    }

    template <int Rows>
    RowsAlongLines<T> strip(Index first, Index, bool, T*) const {
      return {runs_.data(), taps_ + first, step_};
    }

   private:
    const Index* taps_;
    Index step_;
    std::vector<LineRun<T>> runs_;
  };
  Reader reader(Index start, Index depth) const { return {*this, start, depth}; }

  // Each row has an address of its own, and there are registers for no more.
  static constexpr int most_rows = 9;
};

}  // namespace tenon::cpu
