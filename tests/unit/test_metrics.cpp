// Running totals over batches, and the history of a run.
#include "close.hpp"
#include "tenon/train/history.hpp"
#include "tenon/train/metrics.hpp"
#include "tenon/train/progress.hpp"

using namespace tenon;
using namespace tenon::train;
using testing::error_text;

TEST_CASE("metrics: loss weighted by batch, accuracy, top-k, confusion") {
  ConfusionMatrix confusion({"a", "b", "c"});
  Metrics metrics{.top_k = 2, .confusion = &confusion};
  metrics.add(2, Tensor<float>({3, 3}, {9, 1, 0, 5, 7, 6, 1, 2, 3}), nn::Labels({3}, {0, 2, 0}));
  metrics.add(6, Tensor<float>({1, 3}, {1, 0, 0}),
              nn::Labels({1}, {1}));  // equal: the lower class comes first
  CHECK(metrics.loss() == 3);
  CHECK(metrics.accuracy() == 0.25);
  CHECK(metrics.topk_accuracy() == 0.75);
  CHECK(metrics.count == 4);
  CHECK(confusion.at(0, 0) == 1);
  CHECK(confusion.at(2, 1) == 1);
  CHECK(confusion.at(0, 2) == 1);
  CHECK(confusion.at(1, 0) == 1);
  CHECK(confusion.accuracy() == metrics.accuracy());
}

TEST_CASE("metrics: k beyond the classes, and none at all") {
  Metrics all{.top_k = 5}, none{};
  for (Metrics* m : {&all, &none})
    m->add(1, Tensor<float>({2, 3}, {1, 2, 3, 1, 2, 3}), nn::Labels({2}, {0, 2}));
  CHECK(all.topk_accuracy() == 1);
  CHECK(all.accuracy() == 0.5);
  CHECK(none.accuracy() == 0.5);
  CHECK(Metrics{}.accuracy() == 0);
  CHECK(Metrics{}.loss() == 0);
}

TEST_CASE("metrics: what is refused") {
  Metrics metrics;
  CHECK(error_text<ShapeError>([&] {
          metrics.add(1, Tensor<float>::ones({2, 3}), nn::Labels({3}, {0, 0, 0}));
        }) == "metrics: logits (2,3) and labels (3), expected (N,classes) and (N)");
  CHECK_THROWS_AS(metrics.add(1, Tensor<float>::ones({2, 0}), nn::Labels({2}, {0, 0})), ShapeError);
  CHECK(metrics.count == 0);
}

TEST_CASE("history: the best epoch, columns, JSON and back") {
  History history;
  CHECK(history.best() == nullptr);
  history.epochs = {
      {.epoch = 1, .train_loss = 0.1, .val_loss = std::nan(""), .val_accuracy = 0.5, .lr = 1.0 / 3},
      {.epoch = 2, .train_loss = 0.2, .val_accuracy = 0.7, .seconds = 1e-9},
      {.epoch = 3, .train_loss = 0.30000000000000004, .val_accuracy = 0.7}};
  CHECK(history.best()->epoch == 2);
  CHECK(history.column(&EpochRecord::train_loss) == std::vector<double>{0.1, 0.2, 0.30000000000000004});

  const History again = history_from_json(io::Json::parse(to_json(history).dump()));
  REQUIRE(again.epochs.size() == 3);
  CHECK(std::isnan(again.epochs[0].val_loss));
  CHECK(again.epochs[0].lr == 1.0 / 3);
  CHECK(again.epochs[1].seconds == 1e-9);
  CHECK(again.epochs[2].train_loss == 0.30000000000000004);
  CHECK(again.epochs[2].epoch == 3);
}

TEST_CASE("history: JSON that is none") {
  const auto row = [](const io::Json& epoch) {
    io::Json json = to_json(EpochRecord{.epoch = 1});
    json["epoch"] = epoch;
    return io::Json::array({json});
  };
  CHECK(history_from_json(row(1)).epochs.size() == 1);
  for (const io::Json& epoch :
       {io::Json(2), io::Json(0), io::Json(1e300), io::Json("1"), io::Json(nullptr)}) {
    CHECK(error_text<ValueError>([&] { history_from_json(row(epoch)); }) == "history: row 0 is not epoch 1");
  }
  CHECK(error_text<ValueError>([] { history_from_json({{"epoch", 1}}); }) == "history: not a list of epochs");
  CHECK_THROWS_AS(history_from_json(io::Json(5)), ValueError);
  CHECK_THROWS_AS(history_from_json(io::Json::array({io::Json::object()})), io::Json::exception);
}

TEST_CASE("duration_text: seconds, minutes, hours") {
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(59.4) == "59 s");
  CHECK(duration_text(59.6) == "1 min 00 s");
  CHECK(duration_text(125) == "2 min 05 s");
  CHECK(duration_text(3 * 3600 + 12 * 60 + 59) == "3 h 12 min");
}
