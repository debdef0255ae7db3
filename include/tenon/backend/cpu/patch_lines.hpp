// Lines of windows: some lines of the grid that patches lie on, with the pixels under their windows in one
// array where no window leaves it. A window's values are then at fixed distances from its first one, and the
// windows of a line at a fixed distance from each other: nothing is tested and nothing gathered.
//
// Where no window leaves the picture, the lines lie in the picture; elsewhere the pixels are copied, with
// zeros around them.
#pragma once

#include "tenon/backend/cpu/patches.hpp"

namespace tenon::cpu {

// Where the pixels lie: of the same width all over, however many lines are taken.
template <class T>
struct PatchLayout {
  explicit PatchLayout(const Patches<T>& patches)
      : p(patches),
        top(p.offset_y.front()),
        reach(p.offset_y.back() - top + 1),
        left(std::max<Index>(0, -p.offset_x.front())),
        right(std::max<Index>(0, (p.grid_w - 1) * p.stride_w + p.offset_x.back() - (p.w - 1))),
        copied(left > 0 || right > 0 || top < 0 || (p.grid_h - 1) * p.stride_h + p.offset_y.back() >= p.h),
        pixel(copied ? p.group_c + (p.group_c % 64 == 0 ? 16 : 0) : p.c),
        line(copied ? (left + p.w + right) * pixel : p.w * p.c) {}

  // How many lines to take: as many as fill a block of terms, or up to four blocks in 128 KB; 4 MB at most.
  Index lines_at_once() const {
    const Index bytes = (p.stride_h + reach / p.grid_h) * line * static_cast<Index>(sizeof(T));
    const Index block = std::max<Index>(1, gemm_depth / p.grid_w);
    const Index blocks = std::clamp<Index>((Index{1} << 17) / (block * bytes), 1, 4);
    const Index lines = std::max<Index>(1, blocks * gemm_depth / p.grid_w);
    return copied ? std::clamp<Index>((Index{1} << 22) / bytes, 1, lines) : lines;
  }

  // From one window of a line to the next.
  Index step() const { return p.stride_w * pixel; }

  // Values of a window that lie side by side: a line of its taps, or those of one pixel.
  Index side_by_side() const {
    const Index taps_x = static_cast<Index>(p.offset_x.size());
    const bool dense = pixel == p.group_c && p.offset_x.back() - p.offset_x.front() + 1 == taps_x;
    return dense ? taps_x * p.group_c : p.group_c;
  }

  // Where a window's values are, relative to its first one; `more` times the last one comes after them.
  std::vector<Index> taps(Index more) const {
    std::vector<Index> found;
    for (const Index y : p.offset_y) {
      for (const Index x : p.offset_x) {
        const Index at = (y - top) * line + (x - p.offset_x.front()) * pixel;
        for (Index c = 0; c < p.group_c; ++c) found.push_back(at + c);
      }
    }
    found.insert(found.end(), static_cast<std::size_t>(more), found.back());
    return found;
  }

  const Patches<T>& p;
  const Index top, reach;   // the first line of pixels under a line of windows, relative to it, and how many
  const Index left, right;  // columns of zeros beside a picture
  const bool copied;
  // Values from a pixel to the next one and to the one below. Pixels a multiple of 256 bytes apart would
  // share too few sets of the caches.
  const Index pixel, line;
};

template <class T>
class PatchLines {
 public:
  // Room for `most` lines.
  PatchLines(const PatchLayout<T>& layout, Index most)
      : l_(layout),
        store_(l_.copied ? (most * p_.stride_h + (most / p_.grid_h + 2) * l_.reach) * l_.line : 0) {}

  Index width() const { return p_.grid_w; }
  Index step() const { return l_.step(); }

  // Takes `count` lines of the grid from `first`, which may be lines of several pictures. After that the
  // first window on the i-th of them begins with data()[line(i)].
  void take(Index first, Index count) {
    first_.clear();
    Index out = 0;
    for (Index at = first; at < first + count;) {
      const Index n = at / p_.grid_h, gy = at % p_.grid_h;
      const Index some = std::min(p_.grid_h - gy, first + count - at), y = gy * p_.stride_h + l_.top;
      const Index from = l_.copied ? out : (n * p_.h + y) * l_.line + p_.first_c;
      if (l_.copied) {
        const Index high = (some - 1) * p_.stride_h + l_.reach;
        for (Index i = 0; i < high; ++i, out += l_.line) copy_line(n, y + i, store_.data() + out);
      }
      for (Index i = 0; i < some; ++i) {
        first_.push_back(from + (p_.offset_x.front() + l_.left) * l_.pixel + i * p_.stride_h * l_.line);
      }
      at += some;
    }
  }

  // The pixels under `count` lines of the grid from `first`, to be asked for.
  typename Ahead<T>::Rows pixels(Index first, Index count) const {
    const auto at = [&](Index i) { return (i / p_.grid_h * p_.h + i % p_.grid_h * p_.stride_h) * p_.w * p_.c; };
    const Index values = at(first + count) - at(first);
    return {p_.x + at(first), values, values, 1};
  }

  const T* data() const { return l_.copied ? store_.data() : p_.x; }
  Index line(Index i) const { return first_[static_cast<std::size_t>(i)]; }

  // Where the windows begin that were taken; `more` times the last one comes after them.
  std::vector<Index> windows(Index more) const {
    const Index count = static_cast<Index>(first_.size()) * p_.grid_w, apart = step();
    std::vector<Index> found(static_cast<std::size_t>(count + more));
    Index* at = found.data();
    for (const Index line : first_) {
      for (Index x = 0; x < p_.grid_w; ++x) at[x] = line + x * apart;
      at += p_.grid_w;
    }
    std::fill_n(at, more, at[-1]);
    return found;
  }

 private:
  void copy_line(Index n, Index y, T* out) const {
    if (y < 0 || y >= p_.h) {
      std::fill_n(out, l_.line, T(0));
      return;
    }
    constexpr Index ahead = 1024;  // values, in any page: the processor by itself asks within one
    const T* in = p_.x + (n * p_.h + y) * p_.w * p_.c + p_.first_c;
    for (Index q = 0; q < p_.w * p_.c; q += values_of_line<T>) __builtin_prefetch(in + ahead + q, 0, 2);
    out = std::fill_n(out, l_.left * l_.pixel, T(0));
    if (l_.pixel == p_.c) {
      out = std::copy_n(in, p_.w * p_.c, out);
    } else {
      for (Index x = 0; x < p_.w; ++x, in += p_.c, out += l_.pixel) std::copy_n(in, p_.group_c, out);
    }
    std::fill_n(out, l_.right * l_.pixel, T(0));
  }

  const PatchLayout<T>& l_;
  const Patches<T>& p_ = l_.p;
  Scratch<T> store_;
  std::vector<Index> first_;
};

// The most rows of a tile for which there are registers, where each has an address of its own.
inline constexpr int rows_in_table = 9;

// Terms [start, start + depth) of windows as runs of neighbours.
inline std::vector<RowRun> runs_of(const Index* taps, Index start, Index depth) {
  std::vector<RowRun> runs;
  for (Index p = start; p < start + depth; ++p) {
    if (p > start && taps[p] == taps[p - 1] + 1) {
      ++runs.back().length;
    } else {
      runs.push_back({taps[p], 1});
    }
  }
  return runs;
}

// Windows that were taken, as the left operand of a product.
template <class T>
struct WindowRows {
  const T* data;
  const Index* windows;  // PatchLines::windows
  const Index* taps;     // PatchLines::taps

  static constexpr int most_rows = rows_in_table;

  class Reader {
   public:
    Reader(const WindowRows& rows, Index start, Index depth) : rows_(rows), runs_(runs_of(rows.taps, start, depth)) {}

    template <int Rows>
    RowsInTable<T> strip(Index first, Index, bool, T*) const {
      return {rows_.data, runs_.data(), rows_.windows + first, 1};
    }

   private:
    const WindowRows& rows_;
    std::vector<RowRun> runs_;
  };
  Reader reader(Index start, Index depth) const { return {*this, start, depth}; }
};

// Neighbours on one line as they lie, a step apart.
template <class T>
struct NeighboursApart {
  const T* data;  // of the first window
  Index stride;
  const RowRun* runs;

  static constexpr bool apart = true;
  static constexpr int at_once = 3;  // runs are as long as taps are wide, times channels: three, often
  Index length(Index r) const { return runs[r].length; }
  const T* from(Index r, Index) const { return data + runs[r].offset; }
  Index of(Index i, Index p) const { return i * stride + p; }
  template <int>
  void ask(Index, Index) const {}
  void move(Index values) { data += values; }
};

// Windows transposed: a row is a tap, and its terms are the windows.
template <class T>
struct TapRows {
  const PatchLines<T>& lines;
  const Index* taps;              // PatchLines::taps
  typename Ahead<T>::Rows later;  // what the next windows are taken from

  static constexpr int most_rows = rows_in_table;
  static constexpr bool scattered = true;

  class Reader {
   public:
    Reader(const TapRows& rows, Index start, Index depth) : rows_(rows) {
      const Index wide = rows.lines.width();
      runs_.reserve(static_cast<std::size_t>(depth / wide + 2));
      for (Index at = start; at < start + depth;) {
        const Index x = at % wide, length = std::min(wide - x, start + depth - at);
        runs_.push_back({rows.lines.line(at / wide) + x * rows.lines.step(), length});
        at += length;
      }
    }

    template <int Rows>
    RowsInTable<T> strip(Index first, Index, bool, T*) const {
      return {rows_.lines.data(), runs_.data(), rows_.taps + first, rows_.lines.step()};
    }
    TapsTogether<T> neighbours(Index first) const {
      return {rows_.lines.data() + rows_.taps[first], runs_.data(), rows_.lines.step()};
    }
    Index runs() const { return static_cast<Index>(runs_.size()); }

   private:
    const TapRows& rows_;
    std::vector<RowRun> runs_;
  };
  Reader reader(Index start, Index depth) const { return {*this, start, depth}; }
};

// The same where the taps of each strip of the tile lie side by side: they share an address.
template <class T, class Tile>
struct NeighbourTaps : TapRows<T> {
  using tile = Tile;

  struct Reader : TapRows<T>::Reader {
    template <int Rows>
    TapsTogether<T> strip(Index first, Index, bool, T*) const {
      return this->neighbours(first);
    }
  };
  Reader reader(Index start, Index depth) const { return {{*this, start, depth}}; }
};

}  // namespace tenon::cpu
