// Reductions on the CPU: x (outer,n,inner) -> y (outer,inner), in an order that depends on the shape alone.
//
// A long sum is cut into blocks of fixed length, each block is summed and the block sums are combined in
// order. That is the same for any number of threads, and the rounding error grows with n/block, not with n.
#pragma once

#include <cstdint>
#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

namespace detail {

// n contiguous values, in eight interleaved chains that the compiler can keep in one vector register.
template <class Op, class T>
Wide<T> reduce_run(Op op, const T* x, Index n) {
  using W = Wide<T>;
  constexpr Index lanes = 8;
  W chain[lanes];
  for (W& c : chain) c = Op::template start<W>();
  Index i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (Index l = 0; l < lanes; ++l) chain[l] = op(chain[l], static_cast<W>(x[i + l]));
  }
  for (Index l = 0; i < n; ++i, ++l) chain[l] = op(chain[l], static_cast<W>(x[i]));
  for (Index width = lanes / 2; width > 0; width /= 2) {
    for (Index l = 0; l < width; ++l) chain[l] = op(chain[l], chain[l + width]);
  }
  return chain[0];
}

}  // namespace detail

template <class Op, class T>
void reduce(Op op, const ReduceGeometry& g, const T* x, T* y) {
  using W = Wide<T>;
  if (g.outer * g.inner == 0) return;
  const Index block = std::max<Index>(1, 4096 / std::max<Index>(1, g.inner));  // values of n a block combines
  const Index blocks = std::max<Index>(1, (g.n + block - 1) / block);
  std::vector<W> partial(static_cast<std::size_t>(g.outer * blocks * g.inner), Op::template start<W>());
  parallel_ranges(g.outer * blocks, std::max<Index>(1, elementwise_grain / (block * g.inner)),
                  [&](Index begin, Index end) {
                    for (Index job = begin; job < end; ++job) {
                      const Index first = job % blocks * block, count = std::min(block, g.n - first);
                      const T* in = x + ((job / blocks) * g.n + first) * g.inner;
                      W* out = partial.data() + job * g.inner;
                      if (g.inner == 1) {
                        *out = detail::reduce_run(op, in, count);
                        continue;
                      }
                      for (Index i = 0; i < count; ++i) {
                        for (Index c = 0; c < g.inner; ++c) {
                          out[c] = op(out[c], static_cast<W>(in[i * g.inner + c]));
                        }
                      }
                    }
                  });
  for (Index o = 0; o < g.outer; ++o) {
    for (Index c = 0; c < g.inner; ++c) {
      W total = Op::template start<W>();
      for (Index b = 0; b < blocks; ++b) {
        total = op(total, partial[static_cast<std::size_t>((o * blocks + b) * g.inner + c)]);
      }
      y[o * g.inner + c] = static_cast<T>(total);
    }
  }
}

// The position along n of the largest value; the first of equals, and the first NaN if there is one.
template <class T>
void argmax(const ReduceGeometry& g, const T* x, std::int64_t* y) {
  parallel_ranges(g.outer, std::max<Index>(1, elementwise_grain / std::max<Index>(1, g.n * g.inner)),
                  [&](Index begin, Index end) {
                    for (Index o = begin; o < end; ++o) {
                      for (Index c = 0; c < g.inner; ++c) {
                        const T* column = x + o * g.n * g.inner + c;
                        Index best = 0;
                        for (Index i = 1; i < g.n; ++i) {
                          const auto value = static_cast<Wide<T>>(column[i * g.inner]);
                          const auto top = static_cast<Wide<T>>(column[best * g.inner]);
                          if (top == top && !(value <= top)) best = i;
                        }
                        y[o * g.inner + c] = best;
                      }
                    }
                  });
}

}  // namespace tenon::cpu
