// Batch normalisation over the rows of x (rows, c) on the CPU (Ioffe & Szegedy 2015), with what usually
// follows it: y = relu(gamma·(x - mean)·inv_std + beta + residual), the residual and the rectifier where
// asked for. A picture batch (N,H,W,C) is N·H·W rows.
//
// These passes wait for memory, so each tensor is read as rarely as can be: forward reads x twice
// (statistics, then y), backward x and dy twice. Sums run over fixed blocks of rows that are combined in
// order and in double, so neither the thread count nor the batch size spoils them.
#pragma once

#include <cmath>
#include <numeric>
#include <vector>

#include "tenon/backend/cpu/elementwise.hpp"
#include "tenon/backend/cpu/moments.hpp"
#include "tenon/backend/cpu/simd.hpp"

namespace tenon::cpu {

namespace detail {

// The batch as one run of numbers, cut into strips of whole rows: three channels make too short a loop, so
// rows are laid end to end until a strip is long and a whole number of registers. The last strip may be
// shorter.
struct Strips {
  static constexpr Index group = 4;  // strips that share one look at the channels' values
  Index c, wide, total, block;       // `block` strips make one piece of work, or of a sum
  bool grouped;

  // Sums keep few partial results close to the processor, in short strips; other passes want long loops. Four strips
  // side by side read a channel's values once, but four places in a page are no line that the processor's prefetching
  // follows. So they go together only within the second-level cache, or where a strip is a page or more, whose
  // channels' values take the room of strips in the first-level cache, until main memory is all that counts.
  Strips(Index rows, Index channels, bool sums) : c(channels), wide(channels), total(rows * channels) {
    if (c < 256) wide *= 16 / std::gcd(c, Index{16});
    while (wide < (sums ? 32 : 128)) wide *= 2;
    block = std::max<Index>(8, (sums ? 16384 : 32768) / (wide * group)) * group;
    grouped = (sums && wide <= 64) || total < (wide < 1024 ? Index{1} << 18 : Index{1} << 22);  // 1 and 16 MB of float
  }
  Index count() const { return (total + wide - 1) / wide; }
  Index blocks() const { return (count() + block - 1) / block; }
  Index start(Index b) const { return b * block * wide; }
  Index rows(Index b) const { return (std::min(total, start(b + 1)) - start(b)) / c; }

  // Whether y is better written past the caches; every register of it is then aligned.
  template <class T>
  bool streams(const T* y) const {
    return cpu::streams(y, total) && wide * static_cast<Index>(sizeof(T)) % register_bytes == 0;
  }

  // body(block) for all blocks, last first: what the pass before read last is then still in the caches, and
  // what is written last is what the next operation reads first.
  template <class Body>
  void backwards(const Body& body) const {
    parallel_for_backwards(blocks(), body);
  }

  // The channels' values, repeated to the width of a strip.
  template <class T>
  std::vector<Wide<T>> repeated(const T* values) const {
    std::vector<Wide<T>> out(static_cast<std::size_t>(wide));
    for (Index at = 0; at < wide; ++at)
      out[static_cast<std::size_t>(at)] = static_cast<Wide<T>>(values[at % c]);
    return out;
  }

  // body(L, channel lane i, first element, strips): for every register of a block, four strips of it at a
  // time if grouped.
  template <class T, class Body>
  void each(Index b, const Body& body) const {
    Index r = b * block;
    const Index last = std::min(count(), r + block), whole = total / wide;
    for (; grouped && r + group <= std::min(last, whole); r += group) {
      for_lanes<T>(wide, [&](auto lanes, Index i) {
        body(lanes, i, r * wide + i, std::integral_constant<Index, group>{});
      });
    }
    for (; r < last; ++r) {
      for_lanes<T>(std::min(wide, total - r * wide), [&](auto lanes, Index i) {
        body(lanes, i, r * wide + i, std::integral_constant<Index, 1>{});
      });
    }
  }
};

// Calls use(std::true_type) or use(std::false_type).
template <class Use>
void with_flag(bool flag, const Use& use) {
  flag ? use(std::true_type{}) : use(std::false_type{});
}

// Two sums a channel and block, (blocks,2,c): of what term(L, centre, element) returns as a pair.
// `centre_of(block)` gives a value a channel that the terms are centred on.
template <class T, class CentreOf, class Term>
std::vector<Wide<T>> block_sums(const Strips& s, const CentreOf& centre_of, const Term& term) {
  using W = Wide<T>;
  std::vector<W> sums(static_cast<std::size_t>(s.blocks() * 2 * s.c));
  parallel_for(s.blocks(), [&](Index b) {
    const auto centres = s.repeated(centre_of(b));
    std::vector<W> lanes_of(static_cast<std::size_t>(2 * s.wide), W(0));
    const W* centre = centres.data();
    W *firsts = lanes_of.data(), *seconds = firsts + s.wide;
    s.template each<T>(b, [&](auto lanes, Index i, Index at, auto strips) {
      using L = decltype(lanes);
      const auto around = L::load(centre + i);
      auto first = L::load(firsts + i), second = L::load(seconds + i);
      for (Index k = 0; k < strips; ++k) term(lanes, around, i, at + k * s.wide, first, second);
      L::store(firsts + i, first);
      L::store(seconds + i, second);
    });
    W* out = sums.data() + b * 2 * s.c;
    for (Index which = 0; which < 2; ++which) {
      for (Index i = 0; i < s.c; ++i) {
        double total = 0;
        for (Index at = i; at < s.wide; at += s.c)
          total += static_cast<double>(lanes_of[static_cast<std::size_t>(which * s.wide + at)]);
        out[which * s.c + i] = static_cast<W>(total);
      }
    }
  });
  return sums;
}

}  // namespace detail

// mean (c) and biased variance (c) of the rows, x being read once. A block's pivot is its first row.
template <class T>
void batch_norm_statistics(Index rows, Index c, const T* x, T* mean, T* variance) {
  const detail::Strips s(rows, c, true);
  const auto sums = detail::block_sums<T>(
      s, [&](Index b) { return x + s.start(b); },
      [x](auto lanes, const auto& pivot, Index, Index at, auto& first, auto& second) {
        const auto d = decltype(lanes)::load(x + at) - pivot;
        first += d;
        second += d * d;
      });
  combine_moments(
      s.blocks(), c, [&](Index b) { return s.rows(b); }, [&](Index b) { return x + s.start(b); },
      [&](Index b) { return sums.data() + b * 2 * c; }, mean, variance);
}

// y = relu((x - mean)·inv_std·gamma + beta + residual).
//
// Subtracting the mean first keeps digits that scale·x + shift would lose. What remains is that the mean
// itself is a T: y is off by half a unit in the mean's last place over the deviation, 0.003 for a mean of
// 1000 and a deviation of 0.01 in float.
template <class T>
void batch_norm_apply(const BatchNormGeometry& g, const T* x, const T* mean, const T* inv_std, const T* gamma,
                      const T* beta, const T* residual, T* y) {
  const detail::Strips s(g.rows, g.c, false);
  std::vector<T> scale(static_cast<std::size_t>(g.c));
  for (std::size_t i = 0; i < scale.size(); ++i) scale[i] = gamma[i] * inv_std[i];
  const auto means = s.repeated(mean), scales = s.repeated(scale.data()), shifts = s.repeated(beta);
  const auto run = [&](auto with_relu, auto with_residual, auto past_caches) {
    s.backwards([&](Index b) {
      s.template each<T>(b, [&, m = means.data(), a = scales.data(), k = shifts.data()](
                                auto lanes, Index i, Index at, auto strips) {
        using L = decltype(lanes);
        const auto centre = L::load(m + i), slope = L::load(a + i), shift = L::load(k + i);
        for (Index j = 0; j < strips; ++j) {
          const Index e = at + j * s.wide;
          auto value = (L::load(x + e) - centre) * slope + shift;
          if constexpr (with_residual) value += L::load(residual + e);
          if constexpr (with_relu) value = rectified(value);
          if constexpr (past_caches)
            L::stream(y + e, value);
          else
            L::store(y + e, value);
        }
      });
      if constexpr (past_caches) finish_stream();
    });
  };
  detail::with_flag(g.relu, [&](auto relu) {
    detail::with_flag(g.residual, [&](auto residual_too) {
      detail::with_flag(s.streams(y), [&](auto past_caches) { run(relu, residual_too, past_caches); });
    });
  });
}

// One training step forward: the statistics of this batch and what they give. `mean`, `inv_std` (c) are what
// the backward pass wants; `variance` (c), biased, is what a running average wants.
template <class T>
void batch_norm_forward_train(const BatchNormGeometry& g, double eps, const T* x, const T* gamma,
                              const T* beta, const T* residual, T* y, T* mean, T* inv_std, T* variance) {
  batch_norm_statistics(g.rows, g.c, x, mean, variance);
  for (Index i = 0; i < g.c; ++i)
    inv_std[i] = static_cast<T>(1 / std::sqrt(static_cast<double>(variance[i]) + eps));
  batch_norm_apply<T>(g, x, mean, inv_std, gamma, beta, residual, y);
}

// Gradients through the batch statistics (eqs. in §3 of the paper, collected), g being dy where y > 0:
//   dresidual = g, dbeta = Σ g, dgamma = Σ g·x̂, dx = gamma·inv_std·(g - dbeta/n - x̂·dgamma/n),
//   x̂ = (x - mean)·inv_std.
// Without a residual the sign of y is computed again from x, which costs no memory traffic, and y is not
// read. With one, g is stored, in dresidual or, where that is null, in dx. Without a rectifier g is dy, and
// dresidual is not written. dx and dresidual may be dy itself (not both).
template <class T>
void batch_norm_backward(const BatchNormGeometry& geometry, const T* x, const T* dy, const T* y,
                         const T* mean, const T* inv_std, const T* gamma, const T* beta, T* dx, T* dresidual,
                         T* dgamma, T* dbeta) {
  using W = Wide<T>;
  const detail::Strips s(geometry.rows, geometry.c, true);
  const detail::Strips t(geometry.rows, geometry.c, false);
  const auto c = static_cast<std::size_t>(geometry.c);
  std::vector<T> a(c);
  std::vector<W> b(c), k(c);
  for (std::size_t i = 0; i < c; ++i)
    a[i] = gamma[i] * inv_std[i];  // as in the forward pass, for the sign of y
  const auto slopes = t.repeated(a.data()), shifts = t.repeated(beta), centres = t.repeated(mean);
  const W *slope = slopes.data(), *shift = shifts.data();
  T* stored = dresidual ? dresidual : dx;

  const auto run = [&](auto relu_from_x, auto relu_from_y) {
    const auto sums = detail::block_sums<T>(
        s, [mean](Index) { return mean; },
        [&](auto lanes, const auto& centre, Index i, Index e, auto& first, auto& second) {
          using L = decltype(lanes);
          const auto d = L::load(x + e) - centre;
          auto grad = L::load(dy + e);
          if constexpr (relu_from_x) grad = where_positive(d * L::load(slope + i) + L::load(shift + i), grad);
          if constexpr (relu_from_y) {
            grad = where_positive(L::load(y + e), grad);
            L::store(stored + e, grad);
          }
          first += grad;
          second += grad * d;
        });
    for (std::size_t i = 0; i < c; ++i) {
      double sum = 0, dot = 0;
      for (std::size_t block = 0; block < sums.size(); block += 2 * c) {
        sum += static_cast<double>(sums[block + i]);
        dot += static_cast<double>(sums[block + c + i]);
      }
      const auto n = static_cast<double>(geometry.rows), inv = static_cast<double>(inv_std[i]);
      dbeta[i] = static_cast<T>(sum);
      dgamma[i] = static_cast<T>(dot * inv);
      const double scale = static_cast<double>(gamma[i]) * inv;
      b[i] = static_cast<W>(-scale * inv * inv * dot / n);
      k[i] = static_cast<W>(-scale * sum / n);
    }
    // dx = a·g + b·(x - mean) + k, one a, b and k a channel.
    const auto bs = t.repeated(b.data()), ks = t.repeated(k.data());
    const T* source = relu_from_y ? stored : dy;
    const auto write = [&](auto past_caches) {
      t.backwards([&](Index block) {
        t.template each<T>(block, [&, ps = bs.data(), pk = ks.data(), pm = centres.data()](
                                      auto lanes, Index i, Index at, auto strips) {
          using L = decltype(lanes);
          const auto centre = L::load(pm + i), scale = L::load(slope + i), lean = L::load(ps + i),
                     level = L::load(pk + i);
          for (Index j = 0; j < strips; ++j) {
            const Index e = at + j * t.wide;
            const auto d = L::load(x + e) - centre;
            auto grad = L::load(source + e);
            if constexpr (relu_from_x) grad = where_positive(d * scale + L::load(shift + i), grad);
            const auto value = scale * grad + (lean * d + level);
            if constexpr (past_caches)
              L::stream(dx + e, value);
            else
              L::store(dx + e, value);
          }
        });
        if constexpr (past_caches) finish_stream();
      });
    };
    detail::with_flag(dx != source && t.streams(dx), write);
  };
  using Yes = std::true_type;
  using No = std::false_type;
  if (!geometry.relu)
    run(No{}, No{});
  else
    geometry.residual ? run(No{}, Yes{}) : run(Yes{}, No{});
}

}  // namespace tenon::cpu
