// What the program leaves behind: learning curves, confusion matrices, results.json and report.html.
#pragma once

#include <tenon/report/confusion_matrix.hpp>
#include <tenon/report/html.hpp>
#include <tenon/report/line_plot.hpp>
#include <tenon/report/results.hpp>

#include "training.hpp"

namespace programs {

namespace detail {

// One measure of the training history, as a plot shows it.
struct Measure {
  const char* title;
  const char* label;
  double tenon::train::EpochRecord::*field;
  double scale;
};

inline constexpr Measure measures[] = {
    {"training loss", "cross-entropy (nats)", &tenon::train::EpochRecord::train_loss, 1},
    {"validation loss", "cross-entropy (nats)", &tenon::train::EpochRecord::val_loss, 1},
    {"training accuracy", "accuracy (%)", &tenon::train::EpochRecord::train_accuracy, 100},
    {"validation accuracy", "accuracy (%)", &tenon::train::EpochRecord::val_accuracy, 100},
};

inline tenon::report::Curve curve(const Outcome& outcome, const Measure& m) {
  tenon::report::Curve c{.name = outcome.name};
  for (const auto& e : outcome.history.epochs) {
    c.x.push_back(static_cast<double>(e.epoch));
    c.y.push_back(e.*m.field * m.scale);
  }
  return c;
}

inline std::string percent(double fraction) { return tenon::fixed(100 * fraction, 2) + " %"; }

// The first epoch whose training accuracy passes 40 %, as the report gives it.
inline std::string passes_forty(const tenon::train::History& history) {
  for (const auto& e : history.epochs) {
    if (e.train_accuracy > 0.4) return tenon::text(e.epoch);
  }
  return "never";
}

}  // namespace detail

// Writes everything into common.out. The last outcome is the one the headline speaks of.
inline void write_report(const std::vector<Outcome>& outcomes, const Pictures& pictures, const TrainingOptions& o,
                         const CommonOptions& common, double seconds, tenon::Index peak_bytes) {
  using namespace tenon;
  using detail::measures;
  const fs::path out = common.out;

  // Each scheme's four curves by themselves (the report's eight plots), then both schemes in common axes.
  std::vector<report::LinePlot> plots, together;
  for (const Outcome& outcome : outcomes) {
    for (const auto& m : measures) {
      report::LinePlot plot{.title = text(outcome.name, ": ", m.title), .x_label = "epoch", .y_label = m.label};
      plot.curves.push_back(detail::curve(outcome, m));
      plot.curves.back().name.clear();
      plots.push_back(plot);
    }
  }
  for (const auto& m : measures) {
    report::LinePlot plot{.title = m.title, .x_label = "epoch", .y_label = m.label};
    for (const Outcome& outcome : outcomes) plot.curves.push_back(detail::curve(outcome, m));
    together.push_back(plot);
  }
  report::save_grid(plots, 4, out / "curves");
  if (outcomes.size() > 1) report::save_grid(together, 2, out / "comparison");

  report::HtmlReport page("CIFAR-10: learning curves");
  page.add_paragraph(text("Pictures: ", pictures.origin, ", ", pictures.train.size(), " for training, ",
                          pictures.val.size(), " for validation. ", o.epochs, " epochs, batch ", o.batch,
                          ", SGD with learning rate ", o.lr, " (", o.schedule, "), momentum ", o.momentum,
                          ", weight decay ", o.weight_decay, o.augment ? ", random flips and crops." : "."));
  const std::vector<std::string> header = {"network", "parameters", "best validation accuracy", "in epoch",
                                           "training accuracy at the end", "passes 40 % in epoch", "images/s"};
  std::vector<std::vector<std::string>> rows;
  io::Json metrics = io::Json::object();
  for (const Outcome& outcome : outcomes) {
    const auto* best = outcome.history.best();
    const auto& last = outcome.history.epochs.back();
    rows.push_back({outcome.name, text(outcome.parameters), detail::percent(best->val_accuracy), text(best->epoch),
                    detail::percent(last.train_accuracy), detail::passes_forty(outcome.history),
                    fixed(last.images_per_second, 0)});
    metrics[outcome.name] = {{"best_val_accuracy", best->val_accuracy}, {"best_epoch", best->epoch},
                             {"parameters", outcome.parameters}, {"history", train::to_json(outcome.history)}};
  }
  metrics["accuracy"] = outcomes.back().history.best()->val_accuracy;
  page.add_table(header, rows);
  page.add_heading("Learning curves");
  page.add_figure(out / "curves.svg", "Loss and accuracy on the training and validation pictures, by epoch.");
  if (outcomes.size() > 1) page.add_figure(out / "comparison.svg", "The same curves, both networks in common axes.");
  page.add_heading("Confusion on the validation pictures");
  for (const Outcome& outcome : outcomes) {
    std::string stem = "confusion_" + outcome.name;
    std::replace(stem.begin(), stem.end(), ' ', '_');
    report::save(outcome.confusion, out / stem, text(outcome.name, ", best epoch"));
    page.add_figure(out / (stem + ".svg"), text(outcome.name, ": rows are the true classes, columns the predictions."));
  }
  page.add_heading("Networks");
  for (const Outcome& outcome : outcomes) {
    page.add_heading(outcome.name, 3);
    page.add_preformatted(outcome.summary);
  }
  page.save(out / "report.html");

  const io::Json config = {{"data", pictures.origin}, {"device", common.device}, {"seed", common.seed},
                           {"threads", thread_count()}, {"epochs", o.epochs}, {"batch", o.batch}, {"lr", o.lr},
                           {"momentum", o.momentum}, {"weight_decay", o.weight_decay}, {"schedule", o.schedule},
                           {"augment", o.augment}};
  report::save(report::Results{.program = "cifar", .config = config, .metrics = metrics, .seconds = seconds,
                               .peak_bytes = peak_bytes},
               out / "results.json");
}

}  // namespace programs
