// Patches: the windows that a convolution slides over a picture, read straight from the picture.
//
// Row r of the (never stored) patch matrix belongs to the r-th point (n, gy, gx) of a grid; its columns are the
// taps (ty, tx, c), found at x[n, gy·stride + offset_y[ty], gx·stride + offset_x[tx], c] or zero outside the
// picture. Matrix multiplication packs its operands from here: convolution without an im2col matrix.
#pragma once

#include <vector>

#include "tenon/backend/cpu/gemm.hpp"

namespace tenon::cpu {

template <class T>
struct Patches {
  const T* x = nullptr;     // (n,h,w,c)
  Index h = 0, w = 0;
  Index c = 0;              // channels of x
  Index group_c = 0;        // channels that a patch takes, from first_c
  Index first_c = 0;
  Index grid_h = 0, grid_w = 0;
  Index stride_h = 1, stride_w = 1;
  std::vector<Index> offset_y, offset_x;

  Index columns() const { return static_cast<Index>(offset_y.size() * offset_x.size()) * group_c; }

  // Taps first … first+count-1 of one row.
  void gather(Index row, Index first, Index count, T* out) const {
    const Index gx = row % grid_w, rest = row / grid_w;
    const Index gy = rest % grid_h, n = rest / grid_h;
    const Index taps_x = static_cast<Index>(offset_x.size());
    const Index line = taps_x * group_c;  // columns of one ty
    while (count > 0) {
      const Index ty = first / line, in_line = first % line;
      const Index y = gy * stride_h + offset_y[static_cast<std::size_t>(ty)];
      const Index run = std::min(count, line - in_line);
      if (y < 0 || y >= h) {
        std::fill_n(out, run, T(0));
      } else {
        gather_line(x + (n * h + y) * w * c + first_c, gx * stride_w, in_line, run, out);
      }
      first += run;
      count -= run;
      out += run;
    }
  }

 private:
  void gather_line(const T* line, Index x0, Index from, Index count, T* out) const {
    const bool dense = group_c == c && offset_x.back() - offset_x.front() + 1 == static_cast<Index>(offset_x.size());
    if (dense) {  // the taps lie side by side in memory: one copy, with zeros where it leaves the picture
      const Index start = (x0 + offset_x.front()) * c + from, width = w * c;
      const Index left = std::clamp<Index>(-start, 0, count);
      const Index right = std::clamp<Index>(start + count - width, 0, count - left);
      std::fill_n(out, left, T(0));
      std::copy_n(line + start + left, count - left - right, out + left);
      std::fill_n(out + count - right, right, T(0));
      return;
    }
    while (count > 0) {
      const Index at = x0 + offset_x[static_cast<std::size_t>(from / group_c)], channel = from % group_c;
      const Index run = std::min(count, group_c - channel);
      if (at < 0 || at >= w) {
        std::fill_n(out, run, T(0));
      } else {
        std::copy_n(line + at * c + channel, run, out);
      }
      from += run;
      count -= run;
      out += run;
    }
  }
};

// Patches as the left operand (rows of A) and as the right operand (depth runs over the grid) of a product.
template <class T>
struct PatchRows {
  const Patches<T>& patches;
  void operator()(const PackRange& r, T* out) const {
    for (Index i = 0; i < r.count; ++i) patches.gather(r.first + i, r.start, r.depth, out + i * gemm_depth);
  }
};

template <class T>
struct PatchColumns {
  const Patches<T>& patches;
  Index first_row = 0;
  void operator()(const PackRange& r, Index columns, T* out) const {
    for (Index p = 0; p < r.depth; ++p) {
      patches.gather(first_row + r.start + p, r.first, r.count, out + p * columns);
    }
  }
};

}  // namespace tenon::cpu
