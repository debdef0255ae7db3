// Mean and variance of each column of a matrix, from sums over blocks of its rows: in a pass of their own, or made
// by whoever writes the matrix while its values are still in registers.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "tenon/backend/cpu/isa.hpp"
#include "tenon/backend/cpu/scratch.hpp"
#include "tenon/core/scalar.hpp"
#include "tenon/core/threads.hpp"

namespace tenon::cpu {

// mean (c) and biased variance (c) of all rows from those of blocks of them. Of a block: rows(b), how many it has,
// pivot(b) (c), a value near each column's own, and Σ (x - pivot) and Σ (x - pivot)², sums(b) (2,c). Blocks are
// combined in order, in double, by the formula of Chan, Golub & LeVeque 1983.
template <class T, class Rows, class Pivot, class Sums>
void combine_moments(Index blocks, Index c, const Rows& rows, const Pivot& pivot, const Sums& sums, T* mean,
                     T* variance) {
  parallel_ranges(c, 512, [&](Index begin, Index end) {
    std::vector<double> means(static_cast<std::size_t>(end - begin)), squares(means);
    double before = 0;  // rows of the blocks already combined
    for (Index b = 0; b < blocks; ++b) {
      const auto n = static_cast<double>(rows(b)), share = n / (before + n);
      const auto* around = pivot(b);
      const auto* sum = sums(b);
      for (Index i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(i - begin);
        const double shift = static_cast<double>(sum[i]) / n;
        const double delta = static_cast<double>(around[i]) + shift - means[at];
        means[at] += delta * share;
        squares[at] += static_cast<double>(sum[c + i]) - n * shift * shift + delta * delta * before * share;
      }
      before += n;
    }
    for (Index i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i - begin);
      mean[i] = static_cast<Wide<T>>(means[at]);
      // A block's square may round below 0; a NaN stays one.
      variance[i] = static_cast<Wide<T>>(squares[at] < 0 ? 0 : squares[at] / before);
    }
  });
}

// What an algorithm that writes a matrix (rows,c) gathers about it. It begins with start(blocks, …) and adds the
// values of each block row by row, or a register of columns at a time; different blocks, and different columns of
// one, may be added to by different threads. The first row of a block is its pivot: near the mean, or else it
// makes the variance large, so no digits are lost to a mean far from 0.
template <class T>
class Moments {
 public:
  explicit Moments(Index columns) : c_(columns) {}

  // Blocks of `some` rows each; the last may have fewer.
  void start(Index total, Index some) {
    std::vector<Index> rows(static_cast<std::size_t>((total + some - 1) / some), some);
    rows.back() -= static_cast<Index>(rows.size()) * some - total;
    block_rows_ = some;
    start(std::move(rows));
  }
  // Blocks of rows[b] rows.
  void start(std::vector<Index> rows) {
    rows_ = std::move(rows);
    values_.emplace(static_cast<Index>(rows_.size()) * 3 * c_);
  }
  bool started() const { return values_.has_value(); }

  // Row i, columns j … j + count.
  [[gnu::always_inline]] void add(Index i, Index j, Index count, const T* y) {
    T* pivot = block(i / block_rows_) + j;
    const bool first = i % block_rows_ == 0;
    for (Index q = 0; q < count; ++q) {
      if (first) pivot[q] = y[q], pivot[c_ + q] = 0, pivot[2 * c_ + q] = 0;
      const T d = y[q] - pivot[q];
      pivot[c_ + q] += d;
      pivot[2 * c_ + q] += d * d;
    }
  }

  // Rows from i on, columns from j on.
  template <class Isa, int Rows, int Vectors>
  [[gnu::always_inline]] void add_tile(Index i, Index j, const Vec<T, Isa> (&y)[Rows][Vectors]) {
    T* to = block(i / block_rows_) + j;
    const bool first = i % block_rows_ == 0;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v, to += lanes_of<T, Isa>) {
      add_register<Isa>(to, first, y[0][v], [&](const auto& term) {
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) term(y[r][v]);
      });
    }
  }

  // Of block b, the columns from j on: the values that each(use) calls use with, `pivot` among them, where they
  // are the first of the block.
  template <class Isa, class Each>
  [[gnu::always_inline]] void add_values(Index b, Index j, bool first, const Vec<T, Isa>& pivot,
                                         const Each& each) {
    add_register<Isa>(block(b) + j, first, pivot, each);
  }

  // mean (c) and biased variance (c) of all that was added.
  void combine(T* mean, T* variance) {
    combine_moments(
        static_cast<Index>(rows_.size()), c_, [&](Index b) { return rows_[static_cast<std::size_t>(b)]; },
        [&](Index b) { return block(b); }, [&](Index b) { return block(b) + c_; }, mean, variance);
  }

 private:
  T* block(Index b) { return values_->data() + b * 3 * c_; }

  template <class Isa, class Each>
  [[gnu::always_inline]] void add_register(T* to, bool first, const Vec<T, Isa>& value, const Each& each) {
    Vec<T, Isa> pivot = value, sum{}, square{};
    if (first) {
      store<T, Isa>(pivot, to);
    } else {
      load<T, Isa>(to, pivot);
      load<T, Isa>(to + c_, sum);
      load<T, Isa>(to + 2 * c_, square);
    }
    each([&](const Vec<T, Isa>& y) __attribute__((always_inline)) {
      const Vec<T, Isa> d = y - pivot;
      sum += d;
      square += d * d;
    });
    store<T, Isa>(sum, to + c_);
    store<T, Isa>(square, to + 2 * c_);
  }

  Index c_, block_rows_ = 1;
  std::vector<Index> rows_;
  std::optional<Scratch<T>> values_;  // (blocks,3,c): pivots and the two sums
};

}  // namespace tenon::cpu
