// SIFT: the scale invariant feature transform (Lowe, "Distinctive image features from scale-invariant
// keypoints", IJCV 2004), in the discretisation of Otero & Rey-Otero, "Anatomy of the SIFT method" (IPOL
// 2014).
//
//   Features f = sift(image::to_gray(image::read("cat.jpg")), {.max_features = 2000});
//
// The steps are functions of their own, in the headers below: build_scale_space, find_extrema,
// refine_extrema, assign_orientations, describe. Results are the same for any number of threads.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "tenon/features/keypoint.hpp"
#include "tenon/features/sift/descriptor.hpp"
#include "tenon/features/sift/extrema.hpp"
#include "tenon/features/sift/options.hpp"
#include "tenon/features/sift/orientation.hpp"
#include "tenon/features/sift/refine.hpp"
#include "tenon/features/sift/scale_space.hpp"

namespace tenon {

// The key points of a scale space, the strongest first; equally strong ones in the order of their octave,
// row, level and column. `max_features` keeps the first so many of them.
inline std::vector<Keypoint> detect_keypoints(const ScaleSpace& space, const SiftOptions& options = {}) {
  const auto refined = refine_extrema(space, find_extrema(space, options), options);
  std::vector<Keypoint> keypoints;
  for (const RefinedExtremum& r : refined) keypoints.push_back(r.keypoint);
  const auto stronger = [](const Keypoint& a, const Keypoint& b) { return a.response > b.response; };
  std::vector<Keypoint> oriented = assign_orientations(space, keypoints, options);
  std::stable_sort(oriented.begin(), oriented.end(), stronger);
  const auto most = static_cast<std::size_t>(options.max_features);
  if (most > 0 && oriented.size() > most) oriented.resize(most);
  return oriented;
}

// gray (H,W), values 0…1 -> key points, the strongest first, and their descriptors (n,128). A picture without
// extrema has none. ShapeError, ValueError: see build_scale_space.
inline Features sift(const Tensor<float>& gray, const SiftOptions& options = {}) {
  const ScaleSpace space = build_scale_space(gray, options);
  Features found{.keypoints = detect_keypoints(space, options), .descriptors = {}};
  found.descriptors = describe(space, found.keypoints, options);
  return found;
}

// Descriptors (n,128) at given frames, row i for frames[i]: what sift() gives a key point of that frame.
inline Tensor<float> sift_descriptors(const Tensor<float>& gray, std::span<const Keypoint> frames,
                                      const SiftOptions& options = {}) {
  return describe(build_scale_space(gray, options), frames, options);
}

}  // namespace tenon
