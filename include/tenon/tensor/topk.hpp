// The k largest values of each row.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "tenon/tensor/tensor.hpp"

namespace tenon {

template <class T>
struct TopK {
  Tensor<T, Cpu> values;               // (…,k), falling
  Tensor<std::int64_t, Cpu> indices;   // (…,k); of equal values the lower index comes first
};

// Along the last axis. A NaN counts as larger than any number, as in PyTorch. The result is on the host.
template <class T, class D>
TopK<T> topk(const Tensor<T, D>& x, Index k) {
  require<ShapeError>(x.rank() >= 1 && k >= 0 && k <= x.size(-1), "topk: k is ", k, " for shape ", x.shape());
  const Tensor<T, Cpu> host = x.template to<Cpu>();
  const Index n = x.size(-1), rows = n == 0 ? 0 : x.numel() / n;
  Shape shape = x.shape();
  shape.set(x.rank() - 1, k);
  TopK<T> out{Tensor<T, Cpu>(shape), Tensor<std::int64_t, Cpu>(shape)};
  std::vector<Index> order(static_cast<std::size_t>(n));
  for (Index r = 0; r < rows; ++r) {
    const T* row = host.data() + r * n;
    std::iota(order.begin(), order.end(), Index{0});
    std::partial_sort(order.begin(), order.begin() + k, order.end(), [row](Index a, Index b) {
      const bool nan_a = row[a] != row[a], nan_b = row[b] != row[b];
      if (nan_a != nan_b) return nan_a;
      if (!nan_a && row[a] != row[b]) return row[a] > row[b];
      return a < b;
    });
    for (Index i = 0; i < k; ++i) {
      out.indices.data()[r * k + i] = order[static_cast<std::size_t>(i)];
      out.values.data()[r * k + i] = row[order[static_cast<std::size_t>(i)]];
    }
  }
  return out;
}

}  // namespace tenon
