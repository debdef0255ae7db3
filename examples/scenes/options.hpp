// What the program can be asked, and the settings that follow from it.
//
// The defaults of bins, smoothing, power, k, metric and C were chosen on scenes15's training pictures alone,
// each third of them in turn held back from the vocabulary and the classifier; the test set had no say.
#pragma once

#include <tenon/neighbors/knn.hpp>

#include "../common/program.hpp"

namespace programs {

struct SceneOptions {
  std::string method;  // tiny, bag-of-sift; empty: both, compared
  std::string detector = "dense";
  std::string classifier = "knn";
  std::string encoding = "hist";
  std::string metric = "auto";
  tenon::Index pyramid = 0;
  tenon::Index vocab = 0;                       // 0: 400 words; 64 for VLAD and Fisher vectors
  tenon::Index k = 0;                           // 0: 13, and 5 for tiny images
  tenon::Index step = 8;                        // between dense descriptors, pixels
  std::vector<tenon::Index> bins = {4, 8, 16};  // sizes of their bins, pixels
  double c = 1;                                 // of the SVM
  bool tf_idf = false;
  bool tune = false;  // choose k and metric, or C, on a validation part of the training set
};

// How pictures that have been encoded are told apart.
struct ClassifierSettings {
  bool svm = false;
  tenon::Index k = 9;
  tenon::Metric metric = tenon::Metric::l1;
  double c = 1;
};

inline constexpr tenon::Metric all_metrics[] = {tenon::Metric::l2, tenon::Metric::l1, tenon::Metric::cosine,
                                                tenon::Metric::chi2, tenon::Metric::hellinger};

inline tenon::Metric metric_of(const std::string& wanted, tenon::Metric otherwise) {
  for (const tenon::Metric m : all_metrics) {
    if (tenon::metric_name(m) == wanted) return m;
  }
  return otherwise;
}

// In words, for tables: "9 nearest, L1".
inline std::string describe(const ClassifierSettings& s) {
  if (s.svm) return tenon::text("linear SVM, C = ", s.c);
  return tenon::text("kNN, k = ", s.k, ", ", tenon::metric_name(s.metric));
}

inline void add_scene_options(CLI::App& app, SceneOptions& o) {
  app.add_option("--method", o.method, "One method alone (default: both, compared)")
      ->check(CLI::IsMember({"tiny", "bag-of-sift"}));
  app.add_option("--detector", o.detector, "Where descriptors are taken: a grid, or SIFT's key points")
      ->check(CLI::IsMember({"dense", "dog"}))
      ->capture_default_str();
  app.add_option("--classifier", o.classifier, "Nearest neighbours or a linear support vector machine")
      ->check(CLI::IsMember({"knn", "svm"}))
      ->capture_default_str();
  app.add_option("--encoding", o.encoding, "Histogram of words, VLAD or Fisher vector")
      ->check(CLI::IsMember({"hist", "vlad", "fisher"}))
      ->capture_default_str();
  app.add_option("--pyramid", o.pyramid, "Levels of the spatial pyramid beyond the whole picture")
      ->check(CLI::Range(0, 4))
      ->capture_default_str();
  app.add_option("--vocab", o.vocab,
                 "Words, or Gaussians of the Fisher vector (0: 400, and 64 for VLAD and Fisher)")
      ->check(CLI::Range(0, 20000))
      ->capture_default_str();
  app.add_option("--k", o.k, "Neighbours that vote (0: a good number for the encoding)")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  std::vector<std::string> metrics = {"auto"};
  for (const tenon::Metric m : all_metrics) metrics.emplace_back(tenon::metric_name(m));
  app.add_option("--metric", o.metric, "Distance of the nearest neighbours")
      ->check(CLI::IsMember(metrics))
      ->capture_default_str();
  app.add_option("--svm-c", o.c, "What the support vector machine pays for an error")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--step", o.step, "Pixels between dense descriptors")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--bins", o.bins, "Bin sizes of dense descriptors, pixels")
      ->delimiter(',')
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_flag("--tf-idf", o.tf_idf, "Weigh words by how few training pictures have them");
  app.add_flag("--tune", o.tune, "Choose k and metric, or C, on a third of the training pictures");
}

}  // namespace programs
