// sift: the key points and descriptors of a picture; of two pictures, their matches and the homography
// between them. The last line is the number of key points, or of matches that agree with the homography.
#include "report.hpp"

int main(int argc, char** argv) {
  using namespace programs;
  CommonOptions common;
  SiftProgramOptions options;
  CLI::App app("Finds SIFT key points in a picture, or matches two pictures", "sift");
  add_common_options(app, common);
  app.get_option("--data")->description(
      "Folder in which pictures are looked for that are not found otherwise");
  app.get_option("--seed")->description(
      "Start of the random numbers with which the homography is searched for");
  add_sift_options(app, options);

  return run_program(app, argc, argv, common, [&] {
    using namespace tenon;
    const Stopwatch watch;
    require<DeviceError>(common.device == "cpu", "--device ", common.device,
                         ": this program computes on the CPU alone");
    const SiftOptions settings = sift_settings(options);
    std::vector<Picture> pictures;
    for (const std::string& name : options.images) pictures.push_back(read_picture(name, common.data));
    std::vector<Features> features;
    for (const Picture& picture : pictures) {
      features.push_back(sift(picture.gray, settings));
      std::printf("%s: %td×%td pixels, %zu key points\n", picture.name.c_str(), picture.gray.size(1),
                  picture.gray.size(0), features.back().keypoints.size());
    }
    if (pictures.size() == 1) {
      write_keypoints(pictures[0], features[0], options, common, watch);
      std::printf("keypoints %zu\n", features[0].keypoints.size());
    } else {
      Rng rng(common.seed);
      const Pairing pairing = match_pictures(features[0], features[1], options, rng);
      write_matches(pictures, features, pairing, options, common, watch);
      std::printf("inliers %td\n", pairing.inlier_count());
    }
  });
}
