// Patches: the windows that a convolution slides over a picture, read straight from the picture.
//
// Row r of the (never stored) patch matrix belongs to the r-th point (n, gy, gx) of a grid; its columns are
// the taps (ty, tx, c), found at x[n, gy·stride + offset_y[ty], gx·stride + offset_x[tx], c] or zero outside
// the picture. Matrix multiplication reads its operands from here: convolution without an im2col matrix.
#pragma once

#include <vector>

#include "tenon/backend/cpu/gemm.hpp"

namespace tenon::cpu {

template <class T>
struct Patches {
  const T* x = nullptr;  // (n,h,w,c)
  Index h = 0, w = 0;
  Index c = 0;        // channels of x
  Index group_c = 0;  // channels that a patch takes, from first_c
  Index first_c = 0;
  Index grid_h = 0, grid_w = 0;
  Index stride_h = 1, stride_w = 1;
  std::vector<Index> offset_y, offset_x;

  Index columns() const { return static_cast<Index>(offset_y.size() * offset_x.size()) * group_c; }
};

// A few columns of a patch matrix, cut into the pieces that lie in one run of memory.
template <class T, class Isa>
class PatchPieces {
 public:
  PatchPieces(const Patches<T>& patches, Index first, Index count) : p_(patches) {
    const Index taps_x = static_cast<Index>(p_.offset_x.size());
    // Where the patch takes all channels and its taps lie side by side, a whole line of it is one run.
    const bool dense = p_.group_c == p_.c && p_.offset_x.back() - p_.offset_x.front() + 1 == taps_x;
    const Index line = taps_x * p_.group_c, longest = dense ? line : p_.group_c;
    for (Index at = first; at < first + count;) {
      const Index in_line = at % line, in_run = in_line % longest;
      const Index run = std::min(first + count - at, longest - in_run);
      const Index from = in_line - in_run, x = p_.offset_x[static_cast<std::size_t>(from / p_.group_c)];
      const Index start = p_.first_c + in_run;  // values from pixel x on
      pieces_.push_back({p_.offset_y[static_cast<std::size_t>(at / line)], x + start / p_.c,
                         x + (start + run - 1) / p_.c, x * p_.c + start, run});
      at += run;
    }
    for (const Piece& piece : pieces_) {
      y_first_ = std::min(y_first_, piece.y);
      y_last_ = std::max(y_last_, piece.y);
      x_first_ = std::min(x_first_, piece.x_first);
      x_last_ = std::max(x_last_, piece.x_last);
    }
  }

  Index count() const { return static_cast<Index>(pieces_.size()); }
  // Of the first piece, from the grid point's first value on.
  Index start() const { return pieces_.front().y * p_.w * p_.c + pieces_.front().start; }

  // The pieces as short runs from each grid point's first value on.
  std::vector<RowRun> runs() const {
    constexpr Index at_most = 16;
    const Index step = p_.stride_w * p_.c;
    std::vector<RowRun> found;
    for (const Piece& piece : pieces_) {
      for (Index at = 0; at < piece.length; at += at_most) {
        const Index length = std::min(at_most, piece.length - at);
        found.push_back({piece.y * p_.w * p_.c + piece.start + at, length, std::clamp<Index>(step - at, 0, length)});
      }
    }
    return found;
  }

  // Whether the pieces of `count` rows from `first` lie inside the picture; then `at` holds the grid points'
  // first values.
  [[gnu::always_inline]] bool inside(Index first, Index count, Index* at) const {
    Index gx = first % p_.grid_w, gy = first / p_.grid_w % p_.grid_h, n = first / (p_.grid_w * p_.grid_h);
    for (Index i = 0; i < count; ++i) {
      const Index x = gx * p_.stride_w, y = gy * p_.stride_h;
      if (y + y_first_ < 0 || y + y_last_ >= p_.h || x + x_first_ < 0 || x + x_last_ >= p_.w) return false;
      at[i] = ((n * p_.h + y) * p_.w + x) * p_.c;
      if (++gx < p_.grid_w) continue;
      gx = 0;
      if (++gy < p_.grid_h) continue;
      gy = 0;
      ++n;
    }
    return true;
  }

  // The columns of `count` rows from `first`, `stride` apart.
  [[gnu::always_inline]] void copy(Index first, Index count, T* out, Index stride) const {
    Index gx = first % p_.grid_w, gy = first / p_.grid_w % p_.grid_h;
    const T* picture = p_.x + first / (p_.grid_w * p_.grid_h) * p_.h * p_.w * p_.c;
    for (Index i = 0; i < count; ++i, out += stride) {
      const Index x0 = gx * p_.stride_w, y0 = gy * p_.stride_h;
      T* to = out;
      for (const Piece& piece : pieces_) {
        const Index y = y0 + piece.y;
        const T* line = picture + y * p_.w * p_.c;
        if (y < 0 || y >= p_.h || x0 + piece.x_last < 0 || x0 + piece.x_first >= p_.w) {
          for (Index q = 0; q < piece.length; ++q) to[q] = 0;
        } else if (x0 + piece.x_first >= 0 && x0 + piece.x_last < p_.w) {
          copy_run(line + x0 * p_.c + piece.start, piece.length, to);
        } else {
          const Index start = x0 * p_.c + piece.start, width = p_.w * p_.c;
          for (Index q = 0; q < piece.length; ++q)
            to[q] = start + q >= 0 && start + q < width ? line[start + q] : T(0);
        }
        to += piece.length;
      }
      if (++gx < p_.grid_w) continue;
      gx = 0;
      if (++gy < p_.grid_h) continue;
      gy = 0;
      picture += p_.h * p_.w * p_.c;
    }
  }

 private:
  struct Piece {
    Index y, x_first, x_last;  // pixels relative to the grid point
    Index start, length;       // values relative to the grid point
  };

  // Shorter than a call of memcpy: whole registers, the last one overlapping.
  [[gnu::always_inline]] static void copy_run(const T* in, Index n, T* out) {
    constexpr Index lanes = lanes_of<T, Isa>;
    if (n < lanes) {
      for (Index q = 0; q < n; ++q) out[q] = in[q];
      return;
    }
    Vec<T, Isa> v;
    for (Index q = 0; q + lanes <= n; q += lanes) {
      load<T, Isa>(in + q, v);
      store<T, Isa>(v, out + q);
    }
    load<T, Isa>(in + n - lanes, v);
    store<T, Isa>(v, out + n - lanes);
  }

  const Patches<T>& p_;
  std::vector<Piece> pieces_;
  Index y_first_ = 0, y_last_ = 0, x_first_ = 0, x_last_ = 0;  // around all pieces and the grid point
};

// Patches as the left operand (rows of A) and as the right operand (depth runs over the grid) of a product.
// As the left one, strips that meet many panels of B are copied. Else a strip that lies inside the picture is read in
// place, if its runs are long enough.
template <class T, class Isa>
struct PatchRows {
  const Patches<T>& patches;

  static constexpr bool copies = Isa::bytes < 64;
  static Index fewest_columns() { return 128; }

  class Reader {
   public:
    Reader(const Patches<T>& patches, Index start, Index depth)
        : p_(patches), pieces_(patches, start, depth), gathered_{0, depth} {
      if (depth >= 8 * pieces_.count()) runs_ = pieces_.runs();
    }

    template <int Rows>
    RowsAnywhere<T, Rows> strip(Index first, Index count, bool, T* room) const {
      RowsAnywhere<T, Rows> rows{p_.x, runs_.data(), p_.stride_w * p_.c, {}};
      if (count == Rows && !runs_.empty() && pieces_.inside(first, count, rows.row)) return rows;
      pieces_.copy(first, count, room, gemm_depth);
      if (count < Rows) std::fill(room + count * gemm_depth, room + Rows * gemm_depth, T(0));
      rows.data = room;
      rows.runs = &gathered_;
      rows.step = 0;
      for (int i = 0; i < Rows; ++i) rows.row[i] = i * gemm_depth;
      return rows;
    }

    // `count` rows from `first`, copied to `out`, as a strip of `Rows` rows; those that lack may be anything.
    template <int Rows>
    [[gnu::always_inline]] void copy(Index first, Index count, T* out) const {
      alignas(64) T room[gemm_depth];
      for (Index i = 0; i < count; ++i) {
        const T* row = in_picture(first + i);
        if (!row) pieces_.copy(first + i, 1, room, gemm_depth);
        RowsInEights<T, Rows>::template copy_row<Isa>(row ? row : room, gathered_.length, i, out);
      }
    }
    // Rows on one line of the picture.
    RowsToCome<T> rows_at(Index first) const { return {in_picture(first), p_.stride_w * p_.c}; }

   private:
    // Where row `first` lies in one run, or null.
    const T* in_picture(Index first) const {
      Index at = 0;
      return pieces_.count() == 1 && pieces_.inside(first, 1, &at) ? p_.x + at + pieces_.start() : nullptr;
    }

    const Patches<T>& p_;
    PatchPieces<T, Isa> pieces_;
    std::vector<RowRun> runs_;
    RowRun gathered_;
  };
  Reader reader(Index start, Index depth) const { return {patches, start, depth}; }
};

template <class T, class Isa>
struct PatchColumns {
  const Patches<T>& patches;
  Index first_row = 0;
  template <class Tile>
  void operator()(const PackRange& r, Tile columns, T* out, Index panel) const {
    for (Index j = 0; j < r.count; j += columns) {
      const PatchPieces<T, Isa> pieces(patches, r.first + j, std::min<Index>(columns, r.count - j));
      pieces.copy(first_row + r.start, r.depth, out + j / columns * panel, columns);
    }
  }
};

}  // namespace tenon::cpu
