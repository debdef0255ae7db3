// Shape: the extents of a tensor, up to eight dimensions, held in place.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>

#include "tenon/core/error.hpp"

namespace tenon {

// Counts, positions and extents. Signed, so that differences and reversed loops are safe.
using Index = std::ptrdiff_t;

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;  // rank 0: a scalar, one element

  Shape(std::initializer_list<Index> extents) {
    require<ShapeError>(extents.size() <= max_rank, "shape: ", extents.size(),
                        " dimensions, at most 8 are supported");
    for (const Index e : extents) push_back(e);
  }

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }

  // The extent of dimension d; d < 0 counts from the end, so shape[-1] is the last one.
  Index operator[](int d) const { return extents_[checked(d)]; }

  void set(int d, Index extent) {
    check_extent(extent);
    extents_[checked(d)] = extent;
  }

  void push_back(Index extent) {
    require<ShapeError>(rank_ < max_rank, "shape: more than 8 dimensions");
    check_extent(extent);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  // Elements in all; 1 for a scalar. Throws if the count does not fit.
  Index numel() const {
    Index count = 1;
    bool zero = false;
    for (const Index e : *this) zero = zero || e == 0;
    if (zero) return 0;
    for (const Index e : *this) {
      require<ShapeError>(count <= std::numeric_limits<Index>::max() / e, "shape: element count overflows");
      count *= e;
    }
    return count;
  }

  // A dimension that may be negative, as a position from 0; `who` opens the message if it is out of range.
  int axis(int d, std::string_view who) const {
    require<ShapeError>(d >= -rank_ && d < rank_, who, ": axis ", d, " is out of range for rank ", rank_);
    return d < 0 ? d + rank_ : d;
  }

  const Index* begin() const { return extents_.data(); }
  const Index* end() const { return extents_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int d = 0; d < a.rank_; ++d) {
      if (a[d] != b[d]) return false;
    }
    return true;
  }

 private:
  std::size_t checked(int d) const { return static_cast<std::size_t>(axis(d, "shape")); }
  static void check_extent(Index extent) {
    require<ShapeError>(extent >= 0, "shape: extent ", extent, " is negative");
  }

  std::array<Index, max_rank> extents_{};
  int rank_ = 0;
};

// (2,3,4); a scalar is ().
inline void append_text(std::string& out, const Shape& shape) {
  out += '(';
  for (int d = 0; d < shape.rank(); ++d) {
    if (d > 0) out += ',';
    append_text(out, shape[d]);
  }
  out += ')';
}

}  // namespace tenon
