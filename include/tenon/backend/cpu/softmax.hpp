// Softmax and its logarithm over the rows of x (rows, columns) on the CPU, stable for large values.
#pragma once

#include <cmath>

#include "tenon/backend/cpu/elementwise.hpp"

namespace tenon::cpu {

namespace detail {

template <class T>
T row_max(const T* x, Index n) {
  T top = x[0];
  for (Index i = 1; i < n; ++i) top = fn::Maximum{}(top, x[i]);
  return top;
}

template <class Body>
void each_row(Index rows, Index columns, const Body& body) {
  parallel_ranges(rows, std::max<Index>(1, elementwise_grain / (8 * std::max<Index>(1, columns))),
                  [&](Index begin, Index end) {
                    for (Index r = begin; r < end; ++r) body(r * columns);
                  });
}

}  // namespace detail

template <class T>
void softmax_forward(Index rows, Index columns, const T* x, T* y) {
  detail::each_row(rows, columns, [=](Index at) {
    const T top = detail::row_max(x + at, columns);
    T sum = 0;
    for (Index i = at; i < at + columns; ++i) sum += y[i] = std::exp(x[i] - top);
    for (Index i = at; i < at + columns; ++i) y[i] /= sum;
  });
}

// dx = y·(dy - Σ dy·y)
template <class T>
void softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
  detail::each_row(rows, columns, [=](Index at) {
    T dot = 0;
    for (Index i = at; i < at + columns; ++i) dot += dy[i] * y[i];
    for (Index i = at; i < at + columns; ++i) dx[i] = y[i] * (dy[i] - dot);
  });
}

template <class T>
void log_softmax_forward(Index rows, Index columns, const T* x, T* y) {
  detail::each_row(rows, columns, [=](Index at) {
    const T top = detail::row_max(x + at, columns);
    T sum = 0;
    for (Index i = at; i < at + columns; ++i) sum += std::exp(x[i] - top);
    const T offset = top + std::log(sum);
    for (Index i = at; i < at + columns; ++i) y[i] = x[i] - offset;
  });
}

// dx = dy - softmax·Σ dy, with y the logarithm of the softmax
template <class T>
void log_softmax_backward(Index rows, Index columns, const T* y, const T* dy, T* dx) {
  detail::each_row(rows, columns, [=](Index at) {
    T sum = 0;
    for (Index i = at; i < at + columns; ++i) sum += dy[i];
    for (Index i = at; i < at + columns; ++i) dx[i] = dy[i] - std::exp(y[i]) * sum;
  });
}

// Cross-entropy with its gradient, the logits being read once: losses[r] = -Σ target·log softmax(x), where a
// target of 0 counts nothing, also beside a logarithm of -inf; gradient = scale·(softmax(x)·Σ target -
// target).
template <class T>
void cross_entropy(Index rows, Index columns, double scale, const T* x, const T* targets, T* losses,
                   T* gradient) {
  detail::each_row(rows, columns, [=](Index at) {
    const T top = detail::row_max(x + at, columns);
    T sum = 0, weight = 0;
    for (Index i = at; i < at + columns; ++i) {
      sum += gradient[i] = std::exp(x[i] - top);
      weight += targets[i];
    }
    const T offset = top + std::log(sum), factor = static_cast<T>(scale);
    T loss = 0;
    for (Index i = at; i < at + columns; ++i) {
      loss -= fn::Weighted{}(x[i] - offset, targets[i]);
      gradient[i] = factor * (gradient[i] / sum * weight - targets[i]);
    }
    losses[at / columns] = loss;
  });
}

}  // namespace tenon::cpu
