// Times SIFT on one picture, from gray values to descriptors. A line a run: milliseconds and how many key
// points; with --steps the milliseconds of each step instead. bench/sift_speed.py runs it beside OpenCV.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "tenon/features/sift/sift.hpp"
#include "tenon/image/decode.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

tenon::Tensor<float> read_gray(const std::string& path) {
  const auto picture = tenon::image::read(path, {.channels = 1});
  tenon::Tensor<float> gray({picture.size(0), picture.size(1)});
  for (tenon::Index i = 0; i < gray.numel(); ++i) {
    gray.data()[i] = static_cast<float>(picture.data()[i]) / 255.0f;
  }
  return gray;
}

void time_steps(const tenon::Tensor<float>& gray, const tenon::SiftOptions& options) {
  using namespace tenon;
  const auto start = Clock::now();
  const ScaleSpace space = build_scale_space(gray, options);
  const auto built = Clock::now();
  const auto extrema = find_extrema(space, options);
  const auto searched = Clock::now();
  std::vector<Keypoint> places;
  for (const RefinedExtremum& r : refine_extrema(space, extrema, options)) places.push_back(r.keypoint);
  const auto refined = Clock::now();
  const auto keypoints = assign_orientations(space, places, options);
  const auto oriented = Clock::now();
  const auto descriptors = describe(space, keypoints, options);
  const auto described = Clock::now();
  std::printf(
      "scale space %.2f  extrema %.2f (%zu)  refine %.2f (%zu)  orientation %.2f (%zu)  descriptors %.2f\n",
      milliseconds(start, built), milliseconds(built, searched), extrema.size(),
      milliseconds(searched, refined), places.size(), milliseconds(refined, oriented), keypoints.size(),
      milliseconds(oriented, described));
}

}  // namespace

int main(int argc, char** argv) {
  std::string image;
  int threads = 1, repeats = 5;
  bool steps = false;
  CLI::App app("Times SIFT on one picture", "sift_speed");
  app.add_option("image", image)->required();
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats)->check(CLI::PositiveNumber);
  app.add_flag("--steps", steps);
  CLI11_PARSE(app, argc, argv);
  try {
    tenon::set_thread_count(threads);
    const auto gray = read_gray(image);
    const tenon::SiftOptions options;
    for (int i = 0; i <= repeats; ++i) {  // one to warm up
      if (steps) {
        time_steps(gray, options);
        continue;
      }
      const auto start = Clock::now();
      const auto found = tenon::sift(gray, options);
      if (i > 0) std::printf("%.3f %zu\n", milliseconds(start, Clock::now()), found.keypoints.size());
    }
  } catch (const tenon::Error& e) {
    std::fprintf(stderr, "sift_speed: %s\n", e.what());
    return 2;
  }
}
