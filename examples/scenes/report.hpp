// What the program leaves behind: confusion matrices, the most confused pairs with pictures, the table,
// results.json and report.html.
#pragma once

#include <tenon/image/encode.hpp>
#include <tenon/report/confusion_matrix.hpp>
#include <tenon/report/gallery.hpp>
#include <tenon/report/html.hpp>
#include <tenon/report/results.hpp>

#include "classify.hpp"

namespace programs {

namespace detail {

inline std::string percent(double fraction) { return tenon::fixed(100 * fraction, 2) + " %"; }

inline std::string file_stem(const Outcome& outcome, const char* what) {
  std::string stem = tenon::text(what, "_", outcome.name);
  std::replace(stem.begin(), stem.end(), ' ', '_');
  return stem;
}

// A training picture of each of the two classes, then pictures of the first taken for the second.
inline tenon::report::GalleryRow confused_row(const Scenes& scenes, const Outcome& outcome,
                                              const tenon::Confusion& pair) {
  using namespace tenon;
  const auto& names = scenes.classes;
  const auto name = [&](Index c) { return names[static_cast<std::size_t>(c)]; };
  const auto rgb = [](const Tensor<std::uint8_t>& gray) { return image::to_rgb(gray); };
  report::GalleryRow row{text(name(pair.true_class), " taken for ", name(pair.predicted), ": ", pair.count,
                              " of ", outcome.confusion.row_total(pair.true_class))};
  for (const Index c : {pair.true_class, pair.predicted}) {
    for (Index i = 0; i < scenes.train.size(); ++i) {
      if (scenes.train.labels.data()[i] != c) continue;
      row.pictures.push_back(
          {rgb(scenes.train.pictures[static_cast<std::size_t>(i)]), text("a true ", name(c)), {0, 150, 80}});
      break;
    }
  }
  for (Index i = 0; i < scenes.test.size() && row.pictures.size() < 6; ++i) {
    if (scenes.test.labels.data()[i] != pair.true_class || outcome.predicted.data()[i] != pair.predicted)
      continue;
    row.pictures.push_back({rgb(scenes.test.pictures[static_cast<std::size_t>(i)]),
                            fs::path(scenes.test.names[static_cast<std::size_t>(i)]).stem().string(),
                            {210, 60, 30}});
  }
  return row;
}

inline void add_confused_pairs(tenon::report::HtmlReport& page, const Scenes& scenes, const Outcome& outcome,
                               const fs::path& out) {
  using namespace tenon;
  std::vector<report::GalleryRow> rows;
  for (const Confusion& pair : outcome.confusion.most_confused(6))
    rows.push_back(confused_row(scenes, outcome, pair));
  if (rows.empty()) return;
  const fs::path path = out / (file_stem(outcome, "confused") + ".png");
  image::write_png(path, report::gallery(rows));
  page.add_figure(path, text(outcome.name,
                             ": the pairs confused most often. Green: training pictures of the two "
                             "classes; red: test pictures that were taken for the second."));
}

inline tenon::io::Json metrics_of(const Outcome& outcome) {
  using namespace tenon;
  io::Json recalls = io::Json::object(), pairs = io::Json::array();
  const ConfusionMatrix& m = outcome.confusion;
  for (Index c = 0; c < m.size(); ++c) recalls[m.classes[static_cast<std::size_t>(c)]] = m.recall(c);
  for (const Confusion& pair : m.most_confused(10)) {
    pairs.push_back({{"true", m.classes[static_cast<std::size_t>(pair.true_class)]},
                     {"predicted", m.classes[static_cast<std::size_t>(pair.predicted)]},
                     {"count", pair.count}});
  }
  return {{"accuracy", outcome.accuracy()},
          {"settings", outcome.settings},
          {"width", outcome.width},
          {"recall", recalls},
          {"confusion", m.counts},
          {"most_confused", pairs},
          {"tuning", outcome.tuning},
          {"encode_seconds", outcome.encode_seconds},
          {"classify_seconds", outcome.classify_seconds}};
}

}  // namespace detail

// Writes everything into common.out. The last outcome is the one the headline speaks of.
inline void write_report(const std::vector<Outcome>& outcomes, const Scenes& scenes, const SceneOptions& o,
                         const CommonOptions& common, double seconds) {
  using namespace tenon;
  const fs::path out = common.out;
  report::HtmlReport page("Scene recognition");
  page.add_paragraph(text("Pictures: ", scenes.origin, ", ", scenes.train.size(), " for training and ",
                          scenes.test.size(), " for testing, of ", scenes.classes.size(),
                          " classes. Guessing would be right in ",
                          detail::percent(1 / static_cast<double>(scenes.classes.size())), " of the cases."));
  if (scenes.origin == "synthetic") {
    page.add_paragraph(
        "These are made-up textures, not photographs: the figures show that the program works and are "
        "not those of a real data set.");
  }

  std::vector<std::vector<std::string>> rows;
  io::Json metrics = io::Json::object();
  for (const Outcome& outcome : outcomes) {
    rows.push_back({outcome.name, outcome.settings, text(outcome.width), detail::percent(outcome.accuracy()),
                    fixed(outcome.encode_seconds, 1), fixed(outcome.classify_seconds, 1)});
    metrics[outcome.name] = detail::metrics_of(outcome);
  }
  metrics["accuracy"] = outcomes.back().accuracy();
  const std::vector<std::string> header = {"method",   "settings",     "numbers a picture",
                                           "accuracy", "encoding (s)", "classifying (s)"};
  page.add_table(header, rows);

  page.add_heading("Class by class");
  std::vector<std::string> class_header = {"class"};
  for (const Outcome& outcome : outcomes) class_header.push_back(outcome.name);
  std::vector<std::vector<std::string>> class_rows;
  for (Index c = 0; c < static_cast<Index>(scenes.classes.size()); ++c) {
    class_rows.push_back({scenes.classes[static_cast<std::size_t>(c)]});
    for (const Outcome& outcome : outcomes)
      class_rows.back().push_back(detail::percent(outcome.confusion.recall(c)));
  }
  page.add_table(class_header, class_rows);

  for (const Outcome& outcome : outcomes) {
    page.add_heading(outcome.name);
    const std::string stem = detail::file_stem(outcome, "confusion");
    report::save(outcome.confusion, out / stem, outcome.name);
    page.add_figure(out / (stem + ".svg"),
                    text(outcome.name, ": rows are the true classes, columns the predictions."));
    detail::add_confused_pairs(page, scenes, outcome, out);
    if (outcome.tuning.empty()) continue;
    std::string lines;
    for (const std::string& line : outcome.tuning) lines += line + '\n';
    page.add_paragraph(
        "Accuracy on the validation part of the training set, by which the settings were chosen:");
    page.add_preformatted(lines);
  }
  page.save(out / "report.html");

  const io::Json config = {{"data", scenes.origin},
                           {"seed", common.seed},
                           {"threads", thread_count()},
                           {"method", o.method.empty() ? "comparison" : o.method},
                           {"detector", o.detector},
                           {"classifier", o.classifier},
                           {"encoding", o.encoding},
                           {"pyramid", o.pyramid},
                           {"vocab", o.vocab},
                           {"k", o.k},
                           {"metric", o.metric},
                           {"svm_c", o.c},
                           {"step", o.step},
                           {"bins", o.bins},
                           {"tf_idf", o.tf_idf},
                           {"tune", o.tune}};
  report::save(report::Results{.program = "scenes",
                               .config = config,
                               .metrics = metrics,
                               .seconds = seconds,
                               .peak_bytes = static_cast<Index>(Backend<Cpu>::memory_stats().peak)},
               out / "results.json");
}

}  // namespace programs
