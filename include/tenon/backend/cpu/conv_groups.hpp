// Grouped convolution with few channels a group: several groups taken as one, whose weights are zero between
// channels of different groups.
//
// A matrix product fills registers with 16 output channels, so that groups of four leave three quarters of
// them idle: four groups at once cost no more, and copy and write runs of 16 channels instead of four. The
// price is that a value which is not finite makes all channels of its merged group NaN, not only its own's.
#pragma once

#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/core/geometry.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

// The same convolution with as many groups merged as 16 channels hold.
inline Conv2dGeometry merge_groups(const Conv2dGeometry& g) {
  Conv2dGeometry merged = g;
  for (Index count = 2; count * std::max(g.group_in(), g.group_out()) <= 16; ++count) {
    if (g.groups % count == 0) merged.groups = g.groups / count;
  }
  return merged;
}

namespace detail {

// Calls visit(at, merged_at) for each run of group_in() weights: where it lies in w (O,KH,KW,C/groups) and in
// that of the merged groups.
template <class Visit>
void visit_merged_weights(const Conv2dGeometry& g, const Conv2dGeometry& merged, const Visit& visit) {
  const Index places = g.kh * g.kw, in = g.group_in(), wide = merged.group_in();
  for (Index o = 0; o < g.o; ++o) {
    const Index first = o / g.group_out() * in % wide;  // channel within the merged group
    for (Index k = o * places; k < (o + 1) * places; ++k) visit(k * in, k * wide + first);
  }
}

}  // namespace detail

template <class T>
void merge_group_weights(const Conv2dGeometry& g, const Conv2dGeometry& merged, const T* w, T* out) {
  std::fill_n(out, merged.o * merged.taps(), T(0));
  detail::visit_merged_weights(
      g, merged, [&](Index at, Index merged_at) { std::copy_n(w + at, g.group_in(), out + merged_at); });
}

// Of the merged groups' gradient, the part that belongs to weights which exist.
template <class T>
void split_group_weights(const Conv2dGeometry& g, const Conv2dGeometry& merged, const T* dw, T* out) {
  detail::visit_merged_weights(
      g, merged, [&](Index at, Index merged_at) { std::copy_n(dw + merged_at, g.group_in(), out + at); });
}

}  // namespace tenon::cpu
