// The points to be clustered, moved and scaled so that float arithmetic serves them well: the mean is at the
// origin, which keeps |x|² - 2x·c + |c|² from cancelling, and the largest coordinate is near 1, which keeps
// squares from overflowing. The scale is a power of two and costs no digits.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "tenon/backend/cpu/score_tiles.hpp"
#include "tenon/tensor/samples.hpp"

namespace tenon::cluster {

// How far a score computed in float may be from the true one, for rows of d terms with lengths a and b:
// rounding of the operands, of a sum of d products in any order (Higham 2002, §3.1) and of the final
// difference stay below (d + 4)·2^-24·(a + b)²; this is twice that.
inline double score_error(Index d, double a, double b) {
  return static_cast<double>(d + 8) * 0x1p-23 * (a + b) * (a + b);
}

class Points {
 public:
  // x (n,d), n >= 1, finite. The points are kept here, not copied. Centres (k,d) that will be compared with
  // them may lie far off: the scale then keeps their squares, too, within the range of float.
  explicit Points(const Tensor<float>& x, const Tensor<float>& centers = {})
      : x_(x),
        n_(x.size(0)),
        d_(x.size(1)),
        shift_(static_cast<std::size_t>(d_)),
        length_(static_cast<std::size_t>(n_)) {
    find_shift();
    find_scale(centers);
  }

  Index n() const { return n_; }
  Index d() const { return d_; }
  const float* original(Index i) const { return x_.data() + i * d_; }
  double shift(Index p) const { return shift_[static_cast<std::size_t>(p)]; }
  double scale() const { return scale_; }

  // The length of moved point i.
  double length(Index i) const { return length_[static_cast<std::size_t>(i)]; }

  // The mean over the coordinates of their variance, after moving and scaling.
  double variance() const { return variance_; }

  // Point i, moved: out (d).
  void row(Index i, float* out) const { move(original(i), out); }
  void move(const float* in, float* out) const {
    const float* shift = shift_.data();
    for (Index p = 0; p < d_; ++p) {
      out[p] = static_cast<float>((static_cast<double>(in[p]) - static_cast<double>(shift[p])) * scale_);
    }
  }

  // Moved coordinates (rows,d) back in their place.
  void restore(const float* in, Index rows, float* out) const {
    for (Index i = 0; i < rows * d_; ++i) {
      out[i] = static_cast<float>(static_cast<double>(in[i]) / scale_ + shift(i % d_));
    }
  }

  // The points `rows` as columns of a panel, the rest of it zero.
  template <class Isa>
  void pack(std::span<const Index> rows, float* buffer /*(d)*/, float* panel) const {
    const auto count = static_cast<Index>(rows.size());
    if (count < cpu::score_columns<Isa>) std::fill_n(panel, cpu::packed_panel_size<Isa>(d_), 0.0f);
    for (Index j = 0; j < count; ++j) {
      row(rows[static_cast<std::size_t>(j)], buffer);
      cpu::pack_column<Isa>(buffer, d_, j, panel);
    }
  }

 private:
  void find_shift() {
    const Index pieces = fixed_pieces(n_, 1024);
    std::vector<double> sums(static_cast<std::size_t>(pieces * d_));
    parallel_for(pieces, [&](Index piece) {
      double* sum = sums.data() + piece * d_;
      for (Index i = piece * n_ / pieces; i < (piece + 1) * n_ / pieces; ++i) {
        const float* in = original(i);
        for (Index p = 0; p < d_; ++p) sum[p] += static_cast<double>(in[p]);
      }
    });
    for (Index p = 0; p < d_; ++p) {
      double sum = 0;
      for (Index piece = 0; piece < pieces; ++piece) sum += sums[static_cast<std::size_t>(piece * d_ + p)];
      shift_[static_cast<std::size_t>(p)] = static_cast<float>(sum / static_cast<double>(n_));
    }
  }

  void find_scale(const Tensor<float>& centers) {
    const Index pieces = fixed_pieces(n_, 1024);
    std::vector<double> largest(static_cast<std::size_t>(pieces)), squares(static_cast<std::size_t>(pieces));
    parallel_for(pieces, [&](Index piece) {
      double top = 0, total = 0;
      for (Index i = piece * n_ / pieces; i < (piece + 1) * n_ / pieces; ++i) {
        const float* in = original(i);
        double square = 0;
        for (Index p = 0; p < d_; ++p) {
          const double difference = static_cast<double>(in[p]) - shift(p);
          square += difference * difference;
          top = std::max(top, std::abs(difference));
        }
        length_[static_cast<std::size_t>(i)] = std::sqrt(square);
        total += square;
      }
      largest[static_cast<std::size_t>(piece)] = top;
      squares[static_cast<std::size_t>(piece)] = total;
    });
    double top = 0, total = 0;
    for (const double v : largest) top = std::max(top, v);
    for (const double v : squares) total += v;
    scale_ = top > 0 ? std::exp2(-std::ilogb(top)) : 1;
    double farthest = 0;
    for (Index i = 0; i < centers.numel(); ++i) {
      farthest = std::max(farthest, std::abs(static_cast<double>(centers.data()[i]) - shift(i % d_)));
    }
    if (farthest > 0) scale_ = std::min(scale_, std::exp2(50 - std::ilogb(farthest)));
    for (double& v : length_) v *= scale_;
    variance_ = total * scale_ * scale_ / static_cast<double>(n_) / static_cast<double>(d_);
  }

  Tensor<float> x_;
  Index n_, d_;
  std::vector<float> shift_;
  std::vector<double> length_;
  double scale_ = 1, variance_ = 0;
};

// The points as panels, each of `score_columns` consecutive points: kept where they fit in `keep_bytes`,
// otherwise made anew whenever they are asked for.
template <class Isa>
class Panels {
 public:
  static constexpr Index columns = cpu::score_columns<Isa>;

  Panels(const Points& points, Index keep_bytes)
      : points_(points),
        count_((points.n() + columns - 1) / columns),
        size_(cpu::packed_panel_size<Isa>(points.d())) {
    if (count_ * size_ > keep_bytes / 4) return;
    kept_ = Tensor<float>({count_, size_});
    parallel_ranges(count_, 8, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) make(i, kept_.data() + i * size_);
    });
  }

  const Points& points() const { return points_; }
  Index count() const { return count_; }
  Index size() const { return size_; }
  Index width(Index i) const { return std::min(columns, points_.n() - i * columns); }

  // Panel i; room (size()) is where it is made if it was not kept.
  const float* get(Index i, float* room) const {
    if (kept_.defined()) return kept_.data() + i * size_;
    make(i, room);
    return room;
  }
  Index room() const { return kept_.defined() ? 1 : size_; }

 private:
  void make(Index i, float* panel) const {
    Index rows[columns];
    for (Index j = 0; j < width(i); ++j) rows[j] = i * columns + j;
    std::vector<float> buffer(static_cast<std::size_t>(points_.d()));
    points_.template pack<Isa>({rows, static_cast<std::size_t>(width(i))}, buffer.data(), panel);
  }

  const Points& points_;
  Index count_, size_;
  Tensor<float> kept_;
};

}  // namespace tenon::cluster
