// Matching descriptors: nearest neighbours by Euclidean distance, the ratio test (Lowe 2004, section 7.1) and
// the mutual test.
//
// All distances come from one matrix product a block of rows, |a|² - 2a·b + |b|²; the two nearest are then
// measured exactly, because that sum loses digits where a and b are close.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tenon/tensor/matmul.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

struct MatchOptions {
  double ratio = 0.8;  // the nearest is nearer than this times the second nearest; 1 or more: no such test
  bool mutual = true;  // each is the other's nearest
  double distance = 1e30;  // largest distance
};

struct Match {
  Index a = 0, b = 0;  // rows
  float distance = 0;

  friend bool operator==(const Match&, const Match&) = default;
};

namespace detail {

struct Nearest {
  Index row = -1;
  float score = std::numeric_limits<float>::infinity();

  // Of equal scores the first row stays.
  void offer(Index other, float value) {
    if (value < score) *this = {other, value};
  }
};

inline double descriptor_distance(const float* a, const float* b, Index length) {
  double sum = 0;
  for (Index i = 0; i < length; ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

inline std::vector<float> squared_norms(const Tensor<float>& x) {
  std::vector<float> norms;
  for (Index i = 0; i < x.size(0); ++i) {
    const float* row = x.data() + i * x.size(1);
    float sum = 0;
    for (Index k = 0; k < x.size(1); ++k) sum += row[k] * row[k];
    require<ValueError>(std::isfinite(sum), "match_descriptors: row ", i, " has a value that is not finite");
    norms.push_back(sum);
  }
  return norms;
}

}  // namespace detail

// a (n,d), b (m,d) -> pairs in the order of a. With one row in b there is no second nearest and the ratio
// test passes. ShapeError for other shapes, ValueError for values that are not finite. Memory: 512·m floats.
inline std::vector<Match> match_descriptors(const Tensor<float>& a, const Tensor<float>& b,
                                            const MatchOptions& options = {}) {
  require<ShapeError>(a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(1), "match_descriptors: shapes ",
                      a.shape(), " and ", b.shape(), ", expected (n,d) and (m,d)");
  const Index n = a.size(0), m = b.size(0), length = a.size(1);
  if (n == 0 || m == 0 || length == 0) return {};
  const auto a_norms = detail::squared_norms(a), b_norms = detail::squared_norms(b);

  std::vector<detail::Nearest> first(static_cast<std::size_t>(n)), second(first);
  std::vector<detail::Nearest> back(static_cast<std::size_t>(m));
  constexpr Index block = 512;
  for (Index begin = 0; begin < n; begin += block) {
    const Index end = std::min(n, begin + block);
    const Tensor<float> products = matmul(a.rows(begin, end), b, {.transpose_b = true});
    parallel_ranges(end - begin, 32, [&](Index from, Index to) {
      for (Index i = from; i < to; ++i) {
        const float* row = products.data() + i * m;
        auto &nearest = first[static_cast<std::size_t>(begin + i)],
             &next = second[static_cast<std::size_t>(begin + i)];
        for (Index j = 0; j < m; ++j) {
          const float score = b_norms[static_cast<std::size_t>(j)] - 2 * row[j];
          if (!(score < next.score)) continue;
          if (score < nearest.score) {
            next = nearest;
            nearest = {j, score};
          } else {
            next = {j, score};
          }
        }
      }
    });
    if (!options.mutual) continue;
    parallel_ranges(m, 512, [&](Index from, Index to) {
      for (Index i = 0; i < end - begin; ++i) {
        const float *row = products.data() + i * m, norm = a_norms[static_cast<std::size_t>(begin + i)];
        for (Index j = from; j < to; ++j)
          back[static_cast<std::size_t>(j)].offer(begin + i, norm - 2 * row[j]);
      }
    });
  }

  std::vector<Match> matches;
  for (Index i = 0; i < n; ++i) {
    const auto& nearest = first[static_cast<std::size_t>(i)];
    const auto& next = second[static_cast<std::size_t>(i)];
    if (nearest.row < 0) continue;
    if (options.mutual && back[static_cast<std::size_t>(nearest.row)].row != i) continue;
    const float* from = a.data() + i * length;
    const double near = detail::descriptor_distance(from, b.data() + nearest.row * length, length);
    if (!(near <= options.distance)) continue;
    if (options.ratio < 1 && next.row >= 0) {
      const double far = detail::descriptor_distance(from, b.data() + next.row * length, length);
      if (!(near < options.ratio * far)) continue;
    }
    matches.push_back({i, nearest.row, static_cast<float>(near)});
  }
  return matches;
}

}  // namespace tenon
