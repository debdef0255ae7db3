// Key points and what describes them.
#pragma once

#include <vector>

#include "tenon/tensor/tensor.hpp"

namespace tenon {

// A place in a picture. Pixel centres have integer coordinates, (0,0) is the centre of the top-left pixel, y
// points down.
struct Keypoint {
  float x = 0, y = 0;  // pixels
  float sigma = 0;     // scale: the deviation of the Gaussian, in pixels of the picture
  float angle = 0;     // radians in [0, 2π), from +x toward +y
  float response = 0;  // strength; comparable within one detector

  friend bool operator==(const Keypoint&, const Keypoint&) = default;
};

struct Features {
  std::vector<Keypoint> keypoints;
  Tensor<float> descriptors;  // (n,128): row i describes keypoints[i]
};

}  // namespace tenon
