// What the program can be asked.
#pragma once

#include <tenon/features/sift/options.hpp>

#include "../common/program.hpp"

namespace programs {

struct SiftProgramOptions {
  std::vector<std::string> images;  // one or two
  std::string preset = "default";
  tenon::Index max_features = 0;
  double contrast = -1, edge = -1;  // below 0: the preset's
  int first_octave = -3;            // below -2: the preset's
  bool upright = false;
  bool plain = false;  // SIFT rather than RootSIFT
  double ratio = 0.8;  // of a match's distance to the second nearest's
  bool mutual = true;
  double tolerance = 3;  // pixels by which a match may miss the homography
};

inline void add_sift_options(CLI::App& app, SiftProgramOptions& o) {
  app.add_option("IMAGE", o.images, "One picture, or two to be matched")->required()->expected(1, 2);
  app.add_option("--preset", o.preset, "Whose settings")
      ->check(CLI::IsMember({"default", "lowe", "opencv", "vlfeat"}))
      ->capture_default_str();
  app.add_option("--max-features", o.max_features, "Keep the strongest so many (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--contrast", o.contrast,
                 "Least |DoG| of a key point, for values 0…1 (default: the preset's)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--edge", o.edge, "Largest ratio of the principal curvatures (default: the preset's)")
      ->check(CLI::Range(1.0, 1e6));
  app.add_option("--first-octave", o.first_octave,
                 "-1 doubles the picture, 0 takes it as it is (default: the preset's)")
      ->check(CLI::Range(-2, 8));
  app.add_flag("--upright", o.upright, "All directions 0");
  app.add_flag("--no-root", o.plain, "Plain SIFT descriptors rather than RootSIFT");
  app.add_option("--ratio", o.ratio, "Largest ratio of the distances to the nearest and second nearest")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("!--one-way", o.mutual, "Keep matches that are nearest in one direction alone");
  app.add_option("--tolerance", o.tolerance, "Pixels by which a match may miss the homography")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

inline tenon::SiftOptions sift_settings(const SiftProgramOptions& o) {
  using tenon::SiftOptions;
  SiftOptions s = o.preset == "lowe"     ? SiftOptions::lowe()
                  : o.preset == "opencv" ? SiftOptions::opencv()
                  : o.preset == "vlfeat" ? SiftOptions::vlfeat()
                                         : SiftOptions{};
  s.max_features = o.max_features;
  if (o.contrast >= 0) s.contrast = o.contrast;
  if (o.edge >= 0) s.edge = o.edge;
  if (o.first_octave >= -2) s.first_octave = o.first_octave;
  s.upright = o.upright;
  if (o.plain) s.root = false;
  return s;
}

}  // namespace programs
