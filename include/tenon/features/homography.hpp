// Homographies: the plane projective map between two sets of matched points.
//
// RANSAC (Fischler & Bolles 1981) draws four pairs, solves for the map and keeps the one with the least
// truncated error (MSAC, Torr & Zisserman 2000); the winner is then fitted to all its inliers by minimising
// the distances in the second picture (Levenberg-Marquardt). Points are normalised first (Hartley 1997).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/random.hpp"

namespace tenon {

struct Point2 {
  double x = 0, y = 0;
};

// Row by row; the last element is 1 where it can be.
using Matrix3 = std::array<double, 9>;

// The image of p; not finite where p maps to infinity.
inline Point2 transform(const Matrix3& h, Point2 p) {
  const double w = h[6] * p.x + h[7] * p.y + h[8];
  return {(h[0] * p.x + h[1] * p.y + h[2]) / w, (h[3] * p.x + h[4] * p.y + h[5]) / w};
}

struct HomographyOptions {
  double threshold = 3;       // an inlier's largest distance in the second picture, in pixels
  double confidence = 0.999;  // that one draw had no outlier
  Index max_iterations = 10000;
};

struct HomographyResult {
  bool found = false;          // false: fewer than four pairs, or none agree
  Matrix3 matrix{};            // from the first picture to the second
  std::vector<Index> inliers;  // pairs within the threshold, increasing
  Index iterations = 0;
};

namespace detail {

// Solves a·x = b by elimination with pivoting; a and b are overwritten. False where a is singular.
template <std::size_t N>
bool solve(std::array<std::array<double, N>, N>& a, std::array<double, N>& b) {
  for (std::size_t c = 0; c < N; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c + 1; r < N; ++r) {
      if (std::abs(a[r][c]) > std::abs(a[pivot][c])) pivot = r;
    }
    if (!(std::abs(a[pivot][c]) > 1e-12)) return false;
    std::swap(a[c], a[pivot]);
    std::swap(b[c], b[pivot]);
    for (std::size_t r = c + 1; r < N; ++r) {
      const double factor = a[r][c] / a[c][c];
      for (std::size_t k = c; k < N; ++k) a[r][k] -= factor * a[c][k];
      b[r] -= factor * b[c];
    }
  }
  for (std::size_t c = N; c-- > 0;) {
    for (std::size_t k = c + 1; k < N; ++k) b[c] -= a[c][k] * b[k];
    b[c] /= a[c][c];
  }
  return true;
}

// p -> (p - centre)·scale: mean 0, mean distance √2.
struct PointFrame {
  Point2 centre;
  double scale = 1;

  explicit PointFrame(std::span<const Point2> points) {
    const auto n = static_cast<double>(points.size());
    for (const Point2 p : points) {
      centre.x += p.x / n;
      centre.y += p.y / n;
    }
    double distance = 0;
    for (const Point2 p : points) distance += std::hypot(p.x - centre.x, p.y - centre.y) / n;
    scale = distance > 0 ? std::sqrt(2.0) / distance : 1;
  }

  Point2 operator()(Point2 p) const { return {(p.x - centre.x) * scale, (p.y - centre.y) * scale}; }
};

inline Matrix3 product(const Matrix3& a, const Matrix3& b) {
  Matrix3 c{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      for (std::size_t k = 0; k < 3; ++k) c[3 * i + j] += a[3 * i + k] * b[3 * k + j];
    }
  }
  return c;
}

// The map between pixels, from the one between normalised points.
inline Matrix3 to_pixels(const Matrix3& h, const PointFrame& from, const PointFrame& to) {
  const Matrix3 inward{
      from.scale, 0, -from.scale * from.centre.x, 0, from.scale, -from.scale * from.centre.y, 0, 0, 1};
  const Matrix3 outward{1 / to.scale, 0, to.centre.x, 0, 1 / to.scale, to.centre.y, 0, 0, 1};
  Matrix3 m = product(outward, product(h, inward));
  if (std::abs(m[8]) > 1e-12) {
    const double last = m[8];
    for (double& v : m) v /= last;
  }
  return m;
}

// The map of four pairs, its last element 1.
inline std::optional<Matrix3> through_four(const std::array<Point2, 4>& p, const std::array<Point2, 4>& q) {
  std::array<std::array<double, 8>, 8> a{};
  std::array<double, 8> b{};
  for (std::size_t i = 0; i < 4; ++i) {
    a[2 * i] = {p[i].x, p[i].y, 1, 0, 0, 0, -q[i].x * p[i].x, -q[i].x * p[i].y};
    a[2 * i + 1] = {0, 0, 0, p[i].x, p[i].y, 1, -q[i].y * p[i].x, -q[i].y * p[i].y};
    b[2 * i] = q[i].x;
    b[2 * i + 1] = q[i].y;
  }
  if (!solve(a, b)) return {};
  return Matrix3{b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], 1};
}

// Twice the area of a triangle, with the sign of its sense.
inline double turn(Point2 a, Point2 b, Point2 c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// Three of four points on a line determine no map; a map of a visible plane keeps or reverses the sense of
// every triangle.
inline bool usable(const std::array<Point2, 4>& p, const std::array<Point2, 4>& q) {
  constexpr std::size_t triples[4][3] = {{0, 1, 2}, {0, 1, 3}, {0, 2, 3}, {1, 2, 3}};
  int same = 0;
  for (const auto& t : triples) {
    const double a = turn(p[t[0]], p[t[1]], p[t[2]]), b = turn(q[t[0]], q[t[1]], q[t[2]]);
    if (std::abs(a) < 1e-6 || std::abs(b) < 1e-6) return false;
    same += (a > 0) == (b > 0);
  }
  return same == 0 || same == 4;
}

inline double squared_error(const Matrix3& h, Point2 p, Point2 q) {
  const Point2 image = transform(h, p);
  const double e = (image.x - q.x) * (image.x - q.x) + (image.y - q.y) * (image.y - q.y);
  return e >= 0 ? e : 1e300;  // not a number: the point maps to infinity
}

// Least squares over the pairs listed: Levenberg-Marquardt on the eight free elements.
inline Matrix3 refine_homography(Matrix3 h, std::span<const Point2> p, std::span<const Point2> q,
                                 const std::vector<Index>& use) {
  const auto total = [&](const Matrix3& m) {
    double sum = 0;
    for (const Index i : use) {
      sum += squared_error(m, p[static_cast<std::size_t>(i)], q[static_cast<std::size_t>(i)]);
    }
    return sum;
  };
  double error = total(h), damping = 1e-3;
  for (int step = 0; step < 30; ++step) {
    std::array<std::array<double, 8>, 8> normal{};
    std::array<double, 8> slope{};
    for (const Index i : use) {
      const Point2 a = p[static_cast<std::size_t>(i)], b = q[static_cast<std::size_t>(i)];
      const double w = 1 / (h[6] * a.x + h[7] * a.y + h[8]);
      const Point2 image = transform(h, a);
      const std::array<double, 8> jx{a.x * w, a.y * w, w, 0, 0, 0, -image.x * a.x * w, -image.x * a.y * w};
      const std::array<double, 8> jy{0, 0, 0, a.x * w, a.y * w, w, -image.y * a.x * w, -image.y * a.y * w};
      for (std::size_t r = 0; r < 8; ++r) {
        slope[r] += jx[r] * (b.x - image.x) + jy[r] * (b.y - image.y);
        for (std::size_t c = 0; c < 8; ++c) normal[r][c] += jx[r] * jx[c] + jy[r] * jy[c];
      }
    }
    auto damped = normal;
    auto change = slope;
    for (std::size_t r = 0; r < 8; ++r) damped[r][r] *= 1 + damping;
    if (!solve(damped, change)) break;
    Matrix3 next = h;
    for (std::size_t r = 0; r < 8; ++r) next[r] += change[r];
    const double changed = total(next);
    if (changed < error) {
      const bool settled = error - changed < 1e-12 * error;
      h = next;
      error = changed;
      damping *= 0.1;
      if (settled) break;
    } else if ((damping *= 10) > 1e10) {
      break;
    }
  }
  return h;
}

}  // namespace detail

// from[i] and to[i] are a pair; some pairs may be wrong. The same generator gives the same result. ShapeError
// for different counts, ValueError for coordinates that are not finite and options out of range.
inline HomographyResult find_homography(std::span<const Point2> from, std::span<const Point2> to,
                                        const HomographyOptions& options, Rng& rng) {
  require<ShapeError>(from.size() == to.size(), "find_homography: ", from.size(), " points and ", to.size(),
                      " points, expected pairs");
  require<ValueError>(options.threshold > 0 && options.confidence > 0 && options.confidence < 1 &&
                          options.max_iterations >= 1,
                      "find_homography: threshold ", options.threshold, ", confidence ", options.confidence,
                      ", max_iterations ", options.max_iterations,
                      "; expected more than 0, within 0…1, at least 1");
  for (std::size_t i = 0; i < from.size(); ++i) {
    const bool finite = std::isfinite(from[i].x) && std::isfinite(from[i].y) && std::isfinite(to[i].x) &&
                        std::isfinite(to[i].y);
    require<ValueError>(finite, "find_homography: pair ", i, " has a coordinate that is not finite");
  }
  HomographyResult result;
  const auto count = static_cast<Index>(from.size());
  if (count < 4) return result;

  const detail::PointFrame from_frame(from), to_frame(to);
  std::vector<Point2> p, q;
  for (const Point2 a : from) p.push_back(from_frame(a));
  for (const Point2 b : to) q.push_back(to_frame(b));
  const double limit = std::pow(options.threshold * to_frame.scale, 2);

  const auto within = [&](const Matrix3& h) {
    std::vector<Index> pairs;
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (detail::squared_error(h, p[i], q[i]) <= limit) pairs.push_back(static_cast<Index>(i));
    }
    return pairs;
  };

  Matrix3 best{};
  double least = std::numeric_limits<double>::infinity();
  Index needed = options.max_iterations;
  while (result.iterations < needed) {
    ++result.iterations;
    std::array<Index, 4> drawn{};
    for (std::size_t i = 0; i < 4; ++i) {
      do drawn[i] = rng.below(count);
      while (std::find(drawn.begin(), drawn.begin() + static_cast<Index>(i), drawn[i]) !=
             drawn.begin() + static_cast<Index>(i));
    }
    std::array<Point2, 4> a{}, b{};
    for (std::size_t i = 0; i < 4; ++i) {
      a[i] = p[static_cast<std::size_t>(drawn[i])];
      b[i] = q[static_cast<std::size_t>(drawn[i])];
    }
    if (!detail::usable(a, b)) continue;
    const auto h = detail::through_four(a, b);
    if (!h) continue;
    double cost = 0;
    Index agree = 0;
    for (std::size_t i = 0; i < p.size() && cost < least; ++i) {
      const double e = detail::squared_error(*h, p[i], q[i]);
      agree += e <= limit;
      cost += std::min(e, limit);
    }
    if (!(cost < least)) continue;
    least = cost;
    best = *h;
    // Draws until one of four good pairs is likely, at the share of good pairs seen.
    const double good = std::pow(static_cast<double>(agree) / static_cast<double>(count), 4);
    const double draws = std::log(1 - options.confidence) / std::log1p(-std::min(good, 1 - 1e-12));
    if (draws < static_cast<double>(needed))
      needed = std::max<Index>(1, static_cast<Index>(std::ceil(draws)));
  }
  if (!(least < std::numeric_limits<double>::infinity())) return result;

  result.inliers = within(best);
  for (int round = 0; round < 5 && result.inliers.size() >= 4; ++round) {  // a better map has other inliers
    const Matrix3 refined = detail::refine_homography(best, p, q, result.inliers);
    std::vector<Index> inliers = within(refined);
    if (inliers.size() < result.inliers.size()) break;
    const bool same = inliers == result.inliers;
    best = refined;
    result.inliers = std::move(inliers);
    if (same) break;
  }
  result.found = result.inliers.size() >= 4;
  if (!result.found)
    result.inliers.clear();
  else
    result.matrix = detail::to_pixels(best, from_frame, to_frame);
  return result;
}

}  // namespace tenon
