// What a training run looked like, epoch by epoch.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "tenon/core/shape.hpp"
#include "tenon/io/json.hpp"

namespace tenon::train {

struct EpochRecord {
  Index epoch = 0;  // from 1
  double train_loss = 0, train_accuracy = 0;
  double val_loss = 0, val_accuracy = 0, val_topk = 0;
  double lr = 0;
  double seconds = 0, images_per_second = 0;  // of the training part
};

struct History {
  std::vector<EpochRecord> epochs;

  // The epoch with the highest validation accuracy (the first of equals); null if there is none.
  const EpochRecord* best() const {
    const EpochRecord* top = nullptr;
    for (const EpochRecord& e : epochs) {
      if (!top || e.val_accuracy > top->val_accuracy) top = &e;
    }
    return top;
  }

  // One column for a plot: history.column(&EpochRecord::val_loss).
  std::vector<double> column(double EpochRecord::*field) const {
    std::vector<double> values;
    for (const EpochRecord& e : epochs) values.push_back(e.*field);
    return values;
  }
};

inline io::Json to_json(const EpochRecord& e) {
  return {{"epoch", e.epoch}, {"train_loss", e.train_loss}, {"train_accuracy", e.train_accuracy},
          {"val_loss", e.val_loss}, {"val_accuracy", e.val_accuracy}, {"val_topk", e.val_topk},
          {"lr", e.lr}, {"seconds", e.seconds}, {"images_per_second", e.images_per_second}};
}

inline io::Json to_json(const History& history) {
  io::Json rows = io::Json::array();
  for (const EpochRecord& e : history.epochs) rows.push_back(to_json(e));
  return rows;
}

// ValueError, or an exception of the JSON library, if the rows are not those of to_json.
inline History history_from_json(const io::Json& rows) {
  require<ValueError>(rows.is_array(), "history: not a list of epochs");
  const auto number = [](const io::Json& row, const char* key) {
    return row.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : row.at(key).get<double>();
  };
  History history;
  for (const io::Json& row : rows) {
    const auto epoch = static_cast<Index>(history.epochs.size()) + 1;
    require<ValueError>(row.at("epoch").is_number_integer() && row.at("epoch") == epoch, "history: row ", epoch - 1,
                        " is not epoch ", epoch);
    history.epochs.push_back({epoch, number(row, "train_loss"), number(row, "train_accuracy"),
                              number(row, "val_loss"), number(row, "val_accuracy"), number(row, "val_topk"),
                              number(row, "lr"), number(row, "seconds"), number(row, "images_per_second")});
  }
  return history;
}

}  // namespace tenon::train
