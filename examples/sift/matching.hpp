// Matching two pictures: nearest descriptors, and the homography that most of them agree with.
#pragma once

#include <tenon/features/homography.hpp>
#include <tenon/features/match.hpp>
#include <tenon/features/sift/sift.hpp>

#include <algorithm>
#include <vector>

#include "options.hpp"

namespace programs {

struct Pairing {
  std::vector<tenon::Match> matches;
  std::vector<bool> agrees;  // with the homography
  tenon::Tensor<double>
      homography;  // (3,3), from the first picture to the second; undefined if there is none

  tenon::Index inlier_count() const { return std::count(agrees.begin(), agrees.end(), true); }
};

inline Pairing match_pictures(const tenon::Features& a, const tenon::Features& b, const SiftProgramOptions& o,
                              tenon::Rng& rng) {
  using namespace tenon;
  Pairing pairing;
  if (a.keypoints.empty() || b.keypoints.empty()) return pairing;
  pairing.matches = match_descriptors(a.descriptors, b.descriptors, {.ratio = o.ratio, .mutual = o.mutual});
  pairing.agrees.resize(pairing.matches.size());
  std::vector<Point2> from, to;
  for (const Match& m : pairing.matches) {
    const Keypoint &p = a.keypoints[static_cast<std::size_t>(m.a)],
                   &q = b.keypoints[static_cast<std::size_t>(m.b)];
    from.push_back({p.x, p.y});
    to.push_back({q.x, q.y});
  }
  const HomographyResult result = find_homography(from, to, {.threshold = o.tolerance}, rng);
  if (!result.found) return pairing;
  for (const Index i : result.inliers) pairing.agrees[static_cast<std::size_t>(i)] = true;
  pairing.homography = Tensor<double>({3, 3}, std::span<const double>(result.matrix));
  return pairing;
}

}  // namespace programs
