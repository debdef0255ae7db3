// scenes: tells kinds of scenes apart, by tiny images and by bags of SIFT, and compares the two. The last
// line is the accuracy of the last method on the test pictures.
#include "report.hpp"

int main(int argc, char** argv) {
  using namespace programs;
  CommonOptions common;
  SceneOptions options;
  CLI::App app("Recognises scenes (or built-in textures) and writes confusion matrices and a comparison",
               "scenes");
  add_common_options(app, common);
  add_scene_options(app, options);

  return run_program(app, argc, argv, common, [&] {
    using namespace tenon;
    const Stopwatch watch;
    require<DeviceError>(common.device == "cpu", "--device ", common.device,
                         ": this program computes on the CPU alone");
    const bool histograms = options.encoding == "hist" && options.method != "tiny";
    require<ValueError>(histograms || (options.metric != "chi2" && options.metric != "hellinger"),
                        "--metric ", options.metric,
                        ": for histograms alone; tiny images, VLAD and Fisher vectors have negative values");
    const Scenes scenes = load_scenes(common);
    std::printf("pictures: %s, %td for training, %td for testing, %zu classes%s\n", scenes.origin.c_str(),
                scenes.train.size(), scenes.test.size(), scenes.classes.size(),
                scenes.origin == "synthetic" ? " of made-up textures" : "");
    std::fflush(stdout);
    io::ensure_directory(common.out);

    std::vector<Outcome> outcomes;
    Rng rng(common.seed);
    // In the comparison the bag's options are for the bag; tiny images keep their own neighbours and metric.
    SceneOptions tiny = options;
    if (options.method.empty()) {
      tiny.classifier = "knn";
      tiny.metric = "auto";
      tiny.k = 0;
    }
    if (options.method != "bag-of-sift") outcomes.push_back(run_tiny_images(scenes, tiny));
    if (options.method != "tiny") outcomes.push_back(run_bag_of_sift(scenes, options, rng));
    write_report(outcomes, scenes, options, common, watch.seconds());

    for (const Outcome& outcome : outcomes) {
      std::printf("%s (%s): accuracy %.4f, %.1f s\n", outcome.name.c_str(), outcome.settings.c_str(),
                  outcome.accuracy(), outcome.encode_seconds + outcome.classify_seconds);
    }
    std::printf("report: %s\n", (fs::path(common.out) / "report.html").c_str());
    std::printf("accuracy %.4f\n", outcomes.back().accuracy());
  });
}
