// SIFT of one picture under the settings of the quality protocol, as text: a line a key point, `x y` and the
// 128 components, the strongest first. bench/sift_quality.py matches them.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "tenon/features/sift/sift.hpp"
#include "tenon/image/decode.hpp"

int main(int argc, char** argv) {
  std::string image, preset = "default";
  tenon::Index most = 2000;
  CLI::App app("Writes the SIFT key points of a picture", "sift_quality");
  app.add_option("image", image)->required();
  app.add_option("--preset", preset)->check(CLI::IsMember({"default", "plain", "lowe", "opencv", "vlfeat"}));
  app.add_option("--most", most)->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    using tenon::SiftOptions;
    SiftOptions options;
    if (preset == "plain") options.root = false;
    if (preset == "lowe") options = SiftOptions::lowe();
    if (preset == "opencv") options = SiftOptions::opencv();
    if (preset == "vlfeat") options = SiftOptions::vlfeat();
    options.max_features = most;
    const auto picture = tenon::image::read(image, {.channels = 1});
    tenon::Tensor<float> gray({picture.size(0), picture.size(1)});
    for (tenon::Index i = 0; i < gray.numel(); ++i) {
      gray.data()[i] = static_cast<float>(picture.data()[i]) / 255.0f;
    }
    const auto found = tenon::sift(gray, options);
    for (std::size_t i = 0; i < found.keypoints.size(); ++i) {
      std::printf("%.4f %.4f", static_cast<double>(found.keypoints[i].x),
                  static_cast<double>(found.keypoints[i].y));
      const float* d = found.descriptors.data() + static_cast<tenon::Index>(i) * tenon::sift_length;
      for (tenon::Index j = 0; j < tenon::sift_length; ++j) std::printf(" %.7g", static_cast<double>(d[j]));
      std::printf("\n");
    }
  } catch (const tenon::Error& e) {
    std::fprintf(stderr, "sift_quality: %s\n", e.what());
    return 2;
  }
}
