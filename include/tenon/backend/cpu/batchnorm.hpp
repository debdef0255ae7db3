// Batch normalisation over the rows of x (rows, c) on the CPU (Ioffe & Szegedy 2015). A picture batch
// (N,H,W,C) is N·H·W rows.
//
// Sums run over fixed blocks of rows that are then added in order and in double, so neither the thread count
// nor the batch size spoils them.
#pragma once

#include <cmath>
#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

namespace detail {

// How many rows to treat as one: with three channels a loop over c is too short to be vectorised, so up to
// sixteen rows are laid end to end and the channels' values repeated.
inline Index rows_together(Index rows, Index c) {
  Index together = 1;
  while (together < 16 && together * c < 32 && rows % (2 * together) == 0) together *= 2;
  return together;
}

template <class T>
std::vector<T> repeated(const T* values, Index c, Index times) {
  std::vector<T> out;
  for (Index i = 0; i < times; ++i) out.insert(out.end(), values, values + c);
  return out;
}

// `Sums` totals a channel of term(row pointer offset, channel, totals), over all rows.
template <int Sums, class T, class Term>
std::vector<double> column_sums(Index rows, Index c, const Term& term) {
  const Index together = rows_together(rows, c), wide = c * together, count = rows / together;
  const Index block = std::max<Index>(1, 16384 / wide), blocks = (count + block - 1) / block;
  std::vector<T> partial(static_cast<std::size_t>(blocks * Sums * wide), T(0));
  parallel_ranges(blocks, 2, [&](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      T* sums = partial.data() + b * Sums * wide;
      for (Index r = b * block; r < std::min(count, (b + 1) * block); ++r) term(r * wide, wide, sums);
    }
  });
  std::vector<double> totals(static_cast<std::size_t>(Sums * c), 0.0);
  for (Index b = 0; b < blocks; ++b) {
    for (Index s = 0; s < Sums; ++s) {
      for (Index i = 0; i < wide; ++i) {
        totals[static_cast<std::size_t>(s * c + i % c)] += partial[static_cast<std::size_t>((b * Sums + s) * wide + i)];
      }
    }
  }
  return totals;
}

}  // namespace detail

// mean (c) and biased variance (c) of the rows.
template <class T>
void batch_norm_statistics(Index rows, Index c, const T* x, T* mean, T* variance) {
  const double n = static_cast<double>(rows);
  const auto sums = detail::column_sums<1, T>(rows, c, [x](Index at, Index wide, T* __restrict s) {
    const T* __restrict in = x + at;
    for (Index i = 0; i < wide; ++i) s[i] += in[i];
  });
  for (Index i = 0; i < c; ++i) mean[i] = static_cast<T>(sums[static_cast<std::size_t>(i)] / n);
  const auto centre = detail::repeated(mean, c, detail::rows_together(rows, c));
  const auto squares = detail::column_sums<1, T>(rows, c, [x, m = centre.data()](Index at, Index wide, T* __restrict s) {
    const T* __restrict in = x + at;
    for (Index i = 0; i < wide; ++i) {
      const T d = in[i] - m[i];
      s[i] += d * d;
    }
  });
  for (Index i = 0; i < c; ++i) variance[i] = static_cast<T>(squares[static_cast<std::size_t>(i)] / n);
}

// y = scale·x + shift, a scale and a shift a channel.
template <class T>
void scale_shift(Index rows, Index c, const T* x, const T* scale, const T* shift, T* y) {
  const Index together = detail::rows_together(rows, c), wide = c * together;
  const auto scales = detail::repeated(scale, c, together), shifts = detail::repeated(shift, c, together);
  parallel_ranges(rows / together, std::max<Index>(1, elementwise_grain / wide), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* __restrict in = x + r * wide;
      T* __restrict out = y + r * wide;
      for (Index i = 0; i < wide; ++i) out[i] = in[i] * scales[static_cast<std::size_t>(i)] + shifts[static_cast<std::size_t>(i)];
    }
  });
}

// y = gamma·(x - mean)·inv_std + beta.
template <class T>
void batch_norm_apply(Index rows, Index c, const T* x, const T* mean, const T* inv_std, const T* gamma, const T* beta,
                      T* y) {
  std::vector<T> scale(static_cast<std::size_t>(c)), shift(static_cast<std::size_t>(c));
  for (std::size_t i = 0; i < scale.size(); ++i) {
    scale[i] = gamma[i] * inv_std[i];
    shift[i] = beta[i] - mean[i] * scale[i];
  }
  scale_shift(rows, c, x, scale.data(), shift.data(), y);
}

// One training step forward: the statistics of this batch and what they give. `mean`, `inv_std` (c) are what the
// backward pass wants; `variance` (c), biased, is what a running average wants.
template <class T>
void batch_norm_forward_train(Index rows, Index c, double eps, const T* x, const T* gamma, const T* beta, T* y, T* mean,
                              T* inv_std, T* variance) {
  batch_norm_statistics(rows, c, x, mean, variance);
  for (Index i = 0; i < c; ++i) inv_std[i] = static_cast<T>(1 / std::sqrt(static_cast<double>(variance[i]) + eps));
  batch_norm_apply(rows, c, x, mean, inv_std, gamma, beta, y);
}

// Gradients through the batch statistics (eqs. in §3 of the paper, collected):
//   dbeta = Σ dy, dgamma = Σ dy·x̂, dx = gamma·inv_std·(dy - dbeta/n - x̂·dgamma/n),  x̂ = (x - mean)·inv_std.
template <class T>
void batch_norm_backward(Index rows, Index c, const T* x, const T* dy, const T* mean, const T* inv_std, const T* gamma,
                         T* dx, T* dgamma, T* dbeta) {
  const Index together = detail::rows_together(rows, c), wide = c * together;
  const auto centre = detail::repeated(mean, c, together);
  const auto sums = detail::column_sums<2, T>(rows, c, [x, dy, m = centre.data()](Index at, Index w, T* __restrict s) {
    const T *__restrict in = x + at, *__restrict grad = dy + at;
    for (Index i = 0; i < w; ++i) {
      s[i] += grad[i];
      s[w + i] += grad[i] * (in[i] - m[i]);
    }
  });
  // dx = a·dy + b·x + k, one a, b and k a channel.
  std::vector<T> a(static_cast<std::size_t>(c)), b(a), k(a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double n = static_cast<double>(rows), inv = inv_std[i], sum_dy = sums[i];
    const double sum_dy_xhat = sums[i + static_cast<std::size_t>(c)] * inv;
    dbeta[i] = static_cast<T>(sum_dy);
    dgamma[i] = static_cast<T>(sum_dy_xhat);
    const double scale = static_cast<double>(gamma[i]) * inv, slope = -scale * inv * sum_dy_xhat / n;
    a[i] = static_cast<T>(scale);
    b[i] = static_cast<T>(slope);
    k[i] = static_cast<T>(-scale * sum_dy / n - slope * static_cast<double>(mean[i]));
  }
  const auto as = detail::repeated(a.data(), c, together), bs = detail::repeated(b.data(), c, together),
             ks = detail::repeated(k.data(), c, together);
  parallel_ranges(rows / together, std::max<Index>(1, elementwise_grain / wide), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T *__restrict in = x + r * wide, *__restrict grad = dy + r * wide;
      const T *__restrict pa = as.data(), *__restrict pb = bs.data(), *__restrict pk = ks.data();
      T* __restrict out = dx + r * wide;
      for (Index i = 0; i < wide; ++i) out[i] = pa[i] * grad[i] + pb[i] * in[i] + pk[i];
    }
  });
}

}  // namespace tenon::cpu
