// The confusion matrix: how often each class was taken for each other one, and the rates read from it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"

namespace tenon {

// One kind of mistake: `count` items of `true_class` were predicted as `predicted`.
struct Confusion {
  Index true_class = 0;
  Index predicted = 0;
  Index count = 0;
  double rate = 0;  // share of the true class, 0 … 1
};

// Rates are fractions in 0 … 1, and NaN where nothing was counted to divide by.
struct ConfusionMatrix {
  std::vector<std::string> classes;  // C names
  std::vector<Index> counts;         // (C,C), row = true class, column = predicted class

  explicit ConfusionMatrix(std::vector<std::string> names)
      : classes(std::move(names)), counts(classes.size() * classes.size(), 0) {}

  Index size() const { return static_cast<Index>(classes.size()); }

  // ValueError if a class is not 0 … C-1 or the count is negative.
  void add(Index true_class, Index predicted, Index count = 1) {
    require<ValueError>(count >= 0, "confusion matrix: count is ", count, ", expected at least 0");
    counts[position(true_class, predicted)] += count;
  }

  Index at(Index true_class, Index predicted) const { return counts[position(true_class, predicted)]; }

  Index row_total(Index true_class) const {
    Index sum = 0;
    for (Index j = 0; j < size(); ++j) sum += at(true_class, j);
    return sum;
  }

  Index column_total(Index predicted) const {
    Index sum = 0;
    for (Index i = 0; i < size(); ++i) sum += at(i, predicted);
    return sum;
  }

  Index total() const {
    Index sum = 0;
    for (const Index c : counts) sum += c;
    return sum;
  }

  double accuracy() const {
    Index correct = 0;
    for (Index i = 0; i < size(); ++i) correct += at(i, i);
    return rate(correct, total());
  }

  // Of the items of class c, the share that was found.
  double recall(Index c) const { return rate(at(c, c), row_total(c)); }

  // Of the items predicted as class c, the share that is of it.
  double precision(Index c) const { return rate(at(c, c), column_total(c)); }

  // The n largest counts off the diagonal, largest first, equal ones in row order; pairs that never occurred
  // are left out, so there may be fewer.
  std::vector<Confusion> most_confused(Index n) const {
    std::vector<Confusion> pairs;
    for (Index i = 0; i < size(); ++i) {
      const Index row = row_total(i);
      for (Index j = 0; j < size(); ++j) {
        if (i != j && at(i, j) > 0) pairs.push_back({i, j, at(i, j), rate(at(i, j), row)});
      }
    }
    std::ranges::stable_sort(pairs, std::ranges::greater{}, &Confusion::count);
    const auto keep = static_cast<std::size_t>(std::clamp<Index>(n, 0, static_cast<Index>(pairs.size())));
    pairs.resize(keep);
    return pairs;
  }

 private:
  static double rate(Index part, Index whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole)
                     : std::numeric_limits<double>::quiet_NaN();
  }

  std::size_t position(Index true_class, Index predicted) const {
    require<ValueError>(true_class >= 0 && true_class < size() && predicted >= 0 && predicted < size(),
                        "confusion matrix: true class ", true_class, ", predicted ", predicted,
                        ", expected 0 … ", size() - 1);
    return static_cast<std::size_t>(true_class * size() + predicted);
  }
};

}  // namespace tenon
