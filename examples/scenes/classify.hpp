// Telling encoded scenes apart by nearest neighbours or a support vector machine, and choosing the settings
// on a part of the training set.
#pragma once

#include <tenon/neighbors/knn.hpp>
#include <tenon/svm/linear_svm.hpp>
#include <tenon/train/confusion.hpp>

#include "encode.hpp"

namespace programs {

// A method's result on the test pictures.
struct Outcome {
  std::string name = {};      // "tiny images", "bag of SIFT"
  std::string settings = {};  // in words
  std::vector<std::string> tuning =
      {};                  // what was tried on the validation part, a line each; empty without --tune
  tenon::Index width = 0;  // numbers a picture
  Tensor<std::int32_t> predicted = {};
  tenon::ConfusionMatrix confusion{{}};
  double encode_seconds = 0, classify_seconds = 0;

  double accuracy() const { return confusion.accuracy(); }
};

namespace detail {

inline double share_right(const Tensor<std::int32_t>& found, const Tensor<std::int32_t>& labels) {
  Index right = 0;
  for (Index i = 0; i < labels.numel(); ++i) right += found.data()[i] == labels.data()[i];
  return static_cast<double>(right) / static_cast<double>(labels.numel());
}

template <class T>
Tensor<T> take_rows(const Tensor<T>& x, const std::vector<Index>& rows) {
  tenon::Shape shape = x.shape();
  shape.set(0, static_cast<Index>(rows.size()));
  Tensor<T> out(shape);
  for (std::size_t i = 0; i < rows.size(); ++i) out[static_cast<Index>(i)].copy_(x[rows[i]]);
  return out;
}

}  // namespace detail

inline Tensor<std::int32_t> classify(const Tensor<float>& train, const Tensor<std::int32_t>& labels,
                                     const Tensor<float>& test, const ClassifierSettings& s) {
  using namespace tenon;
  if (s.svm) return LinearSvm(train, labels, {.c = s.c}).predict(test);
  const Index k = std::min(s.k, train.size(0));
  return KnnClassifier(train, labels, {.k = k, .metric = s.metric, .weights = KnnWeights::distance})
      .predict(test);
}

// Tries settings with every third training picture held back, and keeps the best. Those that `given` fixes by
// the user's word stay. One line a trial goes to `lines`.
inline ClassifierSettings tune(const Tensor<float>& x, const Tensor<std::int32_t>& labels,
                               const SceneOptions& o, ClassifierSettings best, bool histograms,
                               std::vector<std::string>& lines) {
  using namespace tenon;
  std::vector<Index> fit, held;
  for (Index i = 0; i < x.size(0); ++i) (i % 3 == 2 ? held : fit).push_back(i);
  const auto fit_x = detail::take_rows(x, fit), held_x = detail::take_rows(x, held);
  const auto fit_y = detail::take_rows(labels, fit), held_y = detail::take_rows(labels, held);

  std::vector<ClassifierSettings> trials;
  if (best.svm) {
    for (const double c : {0.1, 1.0, 3.0, 10.0, 30.0, 100.0}) trials.push_back({.svm = true, .c = c});
  } else {
    for (const Metric metric : all_metrics) {
      const bool fits =
          histograms || metric == Metric::l2 || metric == Metric::l1 || metric == Metric::cosine;
      if (!fits || (o.metric != "auto" && metric != best.metric)) continue;
      for (const Index k : {Index{1}, Index{3}, Index{5}, Index{7}, Index{9}, Index{13}, Index{19}}) {
        if (o.k == 0 || k == best.k) trials.push_back({.k = k, .metric = metric});
      }
    }
  }
  double highest = -1;
  for (const ClassifierSettings& s : trials) {
    const double accuracy = detail::share_right(classify(fit_x, fit_y, held_x, s), held_y);
    lines.push_back(text(describe(s), ": ", fixed(accuracy, 4)));
    if (accuracy > highest) {
      highest = accuracy;
      best = s;
    }
  }
  return best;
}

namespace detail {

// From encoded pictures to the outcome.
inline void finish(Outcome& outcome, const Scenes& scenes, const Tensor<float>& train,
                   const Tensor<float>& test, const SceneOptions& o, ClassifierSettings s, bool histograms) {
  using namespace tenon;
  const Stopwatch watch;
  if (o.tune) s = tune(train, scenes.train.labels, o, s, histograms, outcome.tuning);
  outcome.width = train.size(1);
  outcome.predicted = classify(train, scenes.train.labels, test, s);
  outcome.confusion = ConfusionMatrix(scenes.classes);
  for (Index i = 0; i < scenes.test.size(); ++i) {
    outcome.confusion.add(scenes.test.labels.data()[i], outcome.predicted.data()[i]);
  }
  outcome.settings += describe(s);
  outcome.classify_seconds = watch.seconds();
}

}  // namespace detail

inline Outcome run_tiny_images(const Scenes& scenes, const SceneOptions& o) {
  const Stopwatch watch;
  Outcome outcome{.name = "tiny images", .settings = "16×16 gray, mean 0, length 1; "};
  const Tensor<float> train = tiny_images(scenes.train), test = tiny_images(scenes.test);
  outcome.encode_seconds = watch.seconds();
  const ClassifierSettings s{.svm = o.classifier == "svm",
                             .k = o.k > 0 ? o.k : 5,
                             .metric = metric_of(o.metric, tenon::Metric::l1),
                             .c = o.c};
  detail::finish(outcome, scenes, train, test, o, s, false);
  return outcome;
}

inline Outcome run_bag_of_sift(const Scenes& scenes, const SceneOptions& o, tenon::Rng& rng) {
  using namespace tenon;
  const Stopwatch watch;
  Outcome outcome{.name = "bag of SIFT"};
  const BagOfSift bag(scenes.train, o, rng);
  Tensor<float> train = bag.encode(scenes.train, "training pictures"),
                test = bag.encode(scenes.test, "test pictures");
  outcome.settings = bag.describe() + "; ";

  const bool histograms = o.encoding == "hist", svm = o.classifier == "svm";
  ClassifierSettings s{
      .svm = svm, .k = o.k > 0 ? o.k : 13, .metric = metric_of(o.metric, Metric::l2), .c = o.c};
  if (histograms && o.tf_idf) {
    const Tensor<float> idf = inverse_document_frequency(train);
    apply_tf_idf_(train, idf);
    apply_tf_idf_(test, idf);
  }
  if (histograms) {
    if (o.metric == "auto") s.metric = Metric::l1;
    // The root makes rare words count.
    for (Tensor<float>* x : {&train, &test}) {
      power_normalize_(*x, 0.5);
      if (svm)
        l2_normalize_(*x);
      else if (o.pyramid > 0)
        l1_normalize_(*x);
    }
  }
  outcome.encode_seconds = watch.seconds();
  detail::finish(outcome, scenes, train, test, o, s, histograms);
  return outcome;
}

}  // namespace programs
