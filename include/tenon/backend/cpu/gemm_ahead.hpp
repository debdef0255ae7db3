// Asking for what a product reads next.
#pragma once

#include <algorithm>

#include "tenon/core/shape.hpp"

namespace tenon::cpu::detail {

// What is read next, from main memory: while tiles are made, the second-level cache is asked for some of it at a time.
// All at once would keep the tiles waiting.
template <class T>
struct Ahead {
  struct Part {
    const T* data = nullptr;
    Index stride = 0, width = 0, terms = 0;  // from one term to the next, values of each, and how many

    static constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    Index lines() const { return terms * ((width + line - 1) / line); }
    void ask(Index i, Index of) const {
      for (Index p = terms * i / of; p < terms * (i + 1) / of; ++p) {
        for (Index q = 0; q < width; q += line) __builtin_prefetch(data + p * stride + q, 0, 2);
      }
    }
  };
  Part a{}, b{};
  Index tiles;  // to be made after each share
  Index share = 0, shares = 0;

  // Asked for while `panels` times `strips` tiles are made.
  void spread(Index panels, Index strips) {
    const Index lines = a.lines() + b.lines();
    if (lines == 0 || strips <= 0) return;
    tiles = std::clamp<Index>(lines_at_once * panels * strips / lines, std::min<Index>(2, strips), strips);
    shares = panels * (strips / tiles);
  }
  static constexpr Index lines_at_once = 64;

  void ask() {
    if (share == shares) return;
    a.ask(share, shares);
    b.ask(share, shares);
    ++share;
  }
};

}  // namespace tenon::cpu::detail
