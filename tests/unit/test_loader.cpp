// The loader: every sample once, the same batches for any number of workers, errors in their place, no
// deadlock.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "files.hpp"
#include "tenon/data/loader.hpp"
#include "tenon/data/synthetic.hpp"

using namespace tenon;
using namespace tenon::data;
using testing::contains, testing::error_text;

namespace {

// Pictures (1,1,1) whose byte is their position.
ImageDataset numbered(Index count) {
  ImageDataset set{Tensor<std::uint8_t>({count, 1, 1, 1}), {}, {"all"}, {}};
  for (Index i = 0; i < count; ++i) {
    set.images.data()[i] = static_cast<std::uint8_t>(i);
    set.labels.push_back(static_cast<std::int32_t>(i));
    set.names.push_back(text(i));
  }
  return set;
}

struct Seen {
  std::vector<Index> indices;
  std::vector<std::int32_t> labels;
  std::vector<float> pixels;
  std::vector<Index> sizes;

  friend bool operator==(const Seen&, const Seen&) = default;
};

template <class Loader>
Seen pass(const Loader& loader, std::uint64_t epoch) {
  Seen seen;
  for (auto& batch : loader.epoch(epoch)) {
    seen.indices.insert(seen.indices.end(), batch.indices.begin(), batch.indices.end());
    for (const std::int32_t label : batch.labels.span()) seen.labels.push_back(label);
    for (const float v : batch.images.span()) seen.pixels.push_back(v);
    seen.sizes.push_back(batch.size());
    CHECK(batch.images.size(0) == batch.size());
  }
  return seen;
}

const auto augment =
    compose<float>(RandomCrop{.size = 16, .padding = 2}, RandomHorizontalFlip{}, Normalize::cifar10());

}  // namespace

TEST_CASE("loader: in turn, every sample once, the rest as a smaller batch or left out") {
  const DataLoader<float> loader(numbered(10), {.batch_size = 4});
  CHECK(loader.size() == 3);
  const Seen seen = pass(loader, 0);
  CHECK(seen.indices == std::vector<Index>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(seen.sizes == std::vector<Index>{4, 4, 2});
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(seen.labels[i] == static_cast<std::int32_t>(i));
    CHECK(!(std::abs(seen.pixels[i] * 255 - static_cast<float>(i)) > 1e-4f));
  }
  CHECK(pass(DataLoader<float>(numbered(10), {.batch_size = 4, .drop_last = true}), 0).sizes ==
        std::vector<Index>{4, 4});
  CHECK(pass(DataLoader<float>(numbered(8), {.batch_size = 4, .workers = 2}), 0).sizes ==
        std::vector<Index>{4, 4});
  CHECK(pass(DataLoader<float>(numbered(3), {.batch_size = 4, .drop_last = true, .workers = 2}), 0)
            .sizes.empty());
}

TEST_CASE("loader: each epoch has its own order, which the seed decides") {
  const DataLoader<float> loader(numbered(100), {.batch_size = 7, .shuffle = true, .seed = 3});
  const Seen first = pass(loader, 0), second = pass(loader, 1);
  for (const Seen& seen : {first, second}) {
    auto sorted = seen.indices;
    std::sort(sorted.begin(), sorted.end());
    for (Index i = 0; i < 100; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
    for (std::size_t i = 0; i < 100; ++i) CHECK(seen.labels[i] == seen.indices[i]);
  }
  CHECK(first.indices != second.indices);
  CHECK(first.indices == loader.order(0));
  CHECK(pass(loader, 0) == first);  // an epoch can be repeated
  const DataLoader<float> other(numbered(100), {.batch_size = 7, .shuffle = true, .seed = 4});
  CHECK(pass(other, 0).indices != first.indices);
}

TEST_CASE("loader: batches do not depend on the number of workers") {
  const auto set = synthetic_shapes({.count = 150, .size = 16});
  for (const std::uint64_t epoch : {0u, 5u}) {
    const auto of = [&](int workers, Index prefetch) {
      return pass(
          DataLoader<float>(
              set, {.batch_size = 16, .shuffle = true, .workers = workers, .prefetch = prefetch, .seed = 8},
              augment),
          epoch);
    };
    const Seen plain = of(0, 1);
    CHECK(of(1, 1) == plain);
    CHECK(of(2, 4) == plain);
    CHECK(of(5, 2) == plain);
  }
}

TEST_CASE("loader: the chance of a sample does not depend on its batch, and differs by epoch") {
  const auto set = synthetic_shapes({.count = 40, .size = 16});
  const auto pixels_of = [&](LoaderOptions options, std::uint64_t epoch) {
    std::vector<std::vector<float>> out(40);
    const DataLoader<float> loader(set, options, augment);
    for (auto& batch : loader.epoch(epoch)) {
      for (Index i = 0; i < batch.size(); ++i) {
        out[static_cast<std::size_t>(batch.indices[static_cast<std::size_t>(i)])] =
            batch.images[i].to_vector();
      }
    }
    return out;
  };
  const auto a = pixels_of({.batch_size = 8, .shuffle = true, .seed = 1}, 2);
  CHECK(pixels_of({.batch_size = 5, .seed = 1}, 2) == a);
  CHECK(pixels_of({.batch_size = 8, .shuffle = true, .seed = 1}, 3) != a);
  CHECK(pixels_of({.batch_size = 8, .shuffle = true, .seed = 2}, 2) != a);
}

TEST_CASE("loader: an exception in a worker reaches the consumer in place of its batch") {
  const auto failing = [](Tensor<float>& x, Rng&) {
    require<ValueError>(x.data()[0] * 255 < 22.5f, "picture 23 is bad");
  };
  for (const int workers : {0, 1, 3}) {
    const DataLoader<float> loader(numbered(60), {.batch_size = 5, .workers = workers}, failing);
    Index batches = 0;
    const std::string message = error_text<ValueError>([&] {
      for (auto& batch : loader.epoch(0)) batches += batch.size() == 5;
    });
    CHECK(message == "picture 23 is bad");
    CHECK(batches == 4);
  }
}

TEST_CASE("loader: pictures of one batch must come out in one size") {
  const auto uneven = [](Tensor<float>& x, Rng&) {
    if (x.data()[0] > 0.01f) x = Tensor<float>::zeros({1, 2, 1});
  };
  const DataLoader<float> loader(numbered(6), {.batch_size = 6}, uneven);
  CHECK(contains(error_text<ShapeError>([&] { pass(loader, 0); }),
                 "picture 3 has shape (1,2,1), the batch (6,1,1,1)"));
}

TEST_CASE("loader: a loop may end early, and an epoch need not be begun") {
  for (int round = 0; round < 30; ++round) {
    const DataLoader<float> loader(numbered(200),
                                   {.batch_size = 3, .shuffle = true, .workers = 1 + round % 4});
    int batches = 0;
    for (auto& batch : loader.epoch(0)) {
      CHECK(batch.size() == 3);
      if (++batches > round % 5) break;
    }
    { const auto unused = loader.epoch(1); }
  }
}

TEST_CASE("loader: workers run ahead no further than asked") {
  std::atomic<Index> prepared{0};
  const auto count = [&](Tensor<float>&, Rng&) { ++prepared; };
  const DataLoader<float> loader(numbered(100), {.batch_size = 1, .workers = 2, .prefetch = 3}, count);
  Index taken = 0;
  for (auto& batch : loader.epoch(0)) {
    taken += batch.size();
    if (taken == 5) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(prepared <= taken + 3);
  }
  CHECK(taken == 100);
}

TEST_CASE("loader: the data set may outlive nothing: it is held by the loader and its epochs") {
  auto loader =
      std::make_unique<DataLoader<float>>(numbered(50), LoaderOptions{.batch_size = 10, .workers = 2});
  auto epoch = loader->epoch(0);
  loader.reset();
  Index samples = 0;
  for (auto& batch : epoch) samples += batch.size();
  CHECK(samples == 50);
}

TEST_CASE("loader: options are checked, other element types work") {
  CHECK(contains(error_text<ValueError>([] { DataLoader<float>(numbered(1), {.batch_size = 0}); }),
                 "batch_size is 0"));
  CHECK(contains(error_text<ValueError>([] { DataLoader<float>(numbered(1), {.workers = -1}); }),
                 "workers is -1"));
  CHECK(contains(error_text<ValueError>([] { DataLoader<float>(numbered(1), {.prefetch = 0}); }),
                 "prefetch is 0"));
  const DataLoader<half> halves(numbered(3), {.batch_size = 2});
  for (auto& batch : halves.epoch(0)) CHECK(batch.images.rank() == 4);
}
