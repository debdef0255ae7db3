// The settings of SIFT and the settings that others use.
#pragma once

#include "tenon/core/error.hpp"
#include "tenon/core/shape.hpp"

namespace tenon {

struct SiftOptions {
  // Scale space
  int first_octave = -1;    // -1 doubles the picture, 0 takes it as it is, 1 halves it; -2 … 8
  int octaves = 0;          // at most so many; 0: down to 8 pixels
  int scales = 3;           // per octave, 1 … 16
  double sigma = 1.6;       // blur of the first level of an octave, in its pixels
  double input_blur = 0.5;  // what the camera is taken to have done, in pixels of the picture

  // Detector
  double contrast = 0.012;   // least |DoG| at the extremum for values 0…1 and 3 scales an octave
  double edge = 10;          // largest ratio of the principal curvatures
  double max_offset = 0.6;   // how far from its pixel a refined extremum may lie, in pixels and levels
  bool refine_level = true;  // whether the refinement moves to another level, or to another pixel only

  // Orientation
  bool upright = false;      // all angles 0
  double peak_ratio = 0.8;   // a further peak counts from this part of the highest
  int max_orientations = 4;  // at most so many key points at one place

  // Descriptor
  double magnification = 3;  // side of one of the 4×4 cells, in sigmas of the key point
  double clamp = 0.2;        // largest component before the second normalisation
  bool root = true;          // RootSIFT (Arandjelović & Zisserman 2012): L1 normalisation, then square root

  Index max_features = 0;  // the strongest so many; 0: all

  // Lowe 2004: |D| >= 0.03 for values 0…1 (section 4) where the DoG is of 3 scales an octave.
  static SiftOptions lowe() { return {.contrast = 0.03, .root = false}; }
  // The defaults of OpenCV: contrast 0.04, divided by the scales of an octave.
  static SiftOptions opencv() { return {.contrast = 0.04 / 3, .root = false}; }
  // The defaults of VLFeat's command line: no contrast test.
  static SiftOptions vlfeat() {
    return {.contrast = 0, .max_offset = 1.5, .refine_level = false, .root = false};
  }
};

namespace detail {

inline void check(const SiftOptions& o) {
  const auto bounded = [](const char* name, auto value, auto low, auto high) {
    require<ValueError>(value >= low && value <= high, "sift: ", name, " is ", value, ", expected ", low,
                        " to ", high);
  };
  bounded("first_octave", o.first_octave, -2, 8);
  bounded("octaves", o.octaves, 0, 64);
  bounded("scales", o.scales, 1, 16);
  bounded("sigma", o.sigma, 0.5, 8.0);
  bounded("input_blur", o.input_blur, 0.0, 8.0);
  bounded("contrast", o.contrast, 0.0, 1e6);
  bounded("edge", o.edge, 1.0, 1e6);
  bounded("peak_ratio", o.peak_ratio, 0.0, 1.0);
  bounded("max_orientations", o.max_orientations, 1, 36);
  bounded("magnification", o.magnification, 0.1, 100.0);
  bounded("clamp", o.clamp, 0.01, 1.0);
  require<ValueError>(o.max_features >= 0, "sift: max_features is ", o.max_features,
                      ", expected 0 (all) or more");
}

}  // namespace detail

}  // namespace tenon
