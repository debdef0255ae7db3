// Batches of a data set: shuffled, transformed and collected by worker threads ahead of the consumer.
//
//   data::DataLoader<float> loader(train, {.batch_size = 128, .shuffle = true, .workers = 2},
//                                  data::compose<float>(data::RandomHorizontalFlip{}));
//   for (auto& batch : loader.epoch(e)) step(batch.images, batch.labels);
//
// The order of the samples and all chance in the transforms follow from (seed, epoch, sample) alone, so the
// batches are the same, bit for bit, for any number of workers.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tenon/data/dataset.hpp"
#include "tenon/data/transforms.hpp"

namespace tenon::data {

template <class T>
struct Batch {
  Tensor<T> images;             // (N,H,W,C)
  Tensor<std::int32_t> labels;  // (N)
  std::vector<Index> indices;   // N positions in the data set

  Index size() const { return static_cast<Index>(indices.size()); }
};

struct LoaderOptions {
  Index batch_size = 32;
  bool shuffle = false;
  bool drop_last = false;  // leave out a last batch that is not full
  int workers = 0;         // threads; 0 prepares each batch when it is asked for
  Index prefetch = 4;      // batches prepared ahead, at least one a worker
  std::uint64_t seed = 0;
};

template <Floating T, ImageSource Dataset = ImageDataset>
class DataLoader {
  struct Source;

 public:
  class Epoch;

  // The transform is given each picture as (H,W,C) in 0 … 1; what it makes of them must have one shape a
  // batch. Workers call it at the same time. ValueError for options out of range.
  DataLoader(Dataset dataset, LoaderOptions options = {}, Transform<T> transform = {})
      : source_(std::make_shared<const Source>(Source{std::move(dataset), options, std::move(transform)})) {
    require<ValueError>(options.batch_size >= 1 && options.batch_size <= 1 << 30,
                        "DataLoader: batch_size is ", options.batch_size, ", expected 1 to 2^30");
    require<ValueError>(options.workers >= 0 && options.workers <= 1024, "DataLoader: workers is ",
                        options.workers, ", expected 0 to 1024");
    require<ValueError>(options.prefetch >= 1, "DataLoader: prefetch is ", options.prefetch,
                        ", expected at least 1");
  }

  const Dataset& dataset() const { return source_->dataset; }
  const LoaderOptions& options() const { return source_->options; }

  // Batches an epoch.
  Index size() const { return source_->batches(); }

  // One pass over the data, for a range-based for. Its destructor stops and joins the workers, so a loop may
  // end early. An exception of a transform or the data set reaches the consumer in place of its batch.
  Epoch epoch(std::uint64_t number) const { return Epoch(source_, number); }

  // The positions in the order in which the epoch takes them.
  std::vector<Index> order(std::uint64_t number) const { return source_->order(number); }

 private:
  struct Source {
    Dataset dataset;
    LoaderOptions options;
    Transform<T> transform;

    Index batches() const {
      const Index samples = static_cast<Index>(dataset.size());
      return (samples + (options.drop_last ? 0 : options.batch_size - 1)) / options.batch_size;
    }

    std::vector<Index> order(std::uint64_t number) const {
      const auto samples = static_cast<Index>(dataset.size());
      if (options.shuffle) return Rng(options.seed).fork(number).fork(0).permutation(samples);
      std::vector<Index> in_turn;
      for (Index i = 0; i < samples; ++i) in_turn.push_back(i);
      return in_turn;
    }

    Batch<T> make(std::uint64_t number, const std::vector<Index>& all, Index b) const {
      const auto begin = all.begin() + b * options.batch_size;
      const auto end = all.begin() + std::min((b + 1) * options.batch_size, static_cast<Index>(all.size()));
      Batch<T> batch{{}, Tensor<std::int32_t>({end - begin}), {begin, end}};
      const Rng chance = Rng(options.seed).fork(number).fork(1);
      for (Index i = 0; i < batch.size(); ++i) {
        const Index at = batch.indices[static_cast<std::size_t>(i)];
        auto image = to_float<T>(dataset.image(at));
        if (transform) {
          Rng rng = chance.fork(static_cast<std::uint64_t>(at));
          transform(image, rng);
        }
        if (i == 0) {
          Shape shape{batch.size()};
          for (const Index extent : image.shape()) shape.push_back(extent);
          batch.images = Tensor<T>(shape);
        }
        require<ShapeError>(
            image.numel() * batch.size() == batch.images.numel() && image.shape() == batch.images[0].shape(),
            "DataLoader: picture ", at, " has shape ", image.shape(), ", the batch ", batch.images.shape(),
            "; a transform must bring all to one size");
        std::copy_n(image.data(), image.numel(), batch.images.data() + i * image.numel());
        batch.labels.data()[i] = dataset.label(at);
      }
      return batch;
    }
  };

  std::shared_ptr<const Source> source_;
};

// Batch b is prepared by whichever worker is free, at most `prefetch` ahead of the consumer, and waits in
// `ready_` until its turn.
template <Floating T, ImageSource Dataset>
class DataLoader<T, Dataset>::Epoch {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch<T>;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(Epoch* epoch) : epoch_(epoch) {}
    Batch<T>& operator*() const { return epoch_->current_; }
    Batch<T>* operator->() const { return &epoch_->current_; }
    Iterator& operator++() { return epoch_->advance(), *this; }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return epoch_->finished_; }

   private:
    Epoch* epoch_;
  };

  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;
  ~Epoch() { stop(); }

  // The first batch is fetched here; an Epoch is passed over once.
  Iterator begin() {
    advance();
    return Iterator(this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class DataLoader;
  using Result = std::pair<Batch<T>, std::exception_ptr>;

  Epoch(std::shared_ptr<const Source> source, std::uint64_t number)
      : source_(std::move(source)),
        number_(number),
        order_(source_->order(number)),
        batches_(source_->batches()) {
    const LoaderOptions& options = source_->options;
    ahead_ = std::max<Index>(options.prefetch, options.workers);
    try {
      for (Index w = 0; w < std::min<Index>(options.workers, batches_); ++w) {
        workers_.emplace_back([this] { work(); });
      }
    } catch (...) {  // the system gives no more threads
      stop();
      throw;
    }
  }

  void work() {
    std::unique_lock lock(guard_);
    for (;;) {
      room_.wait(lock, [&] { return stopping_ || next_ >= batches_ || next_ < taken_ + ahead_; });
      if (stopping_ || next_ >= batches_) return;
      const Index b = next_++;
      lock.unlock();
      Result result;
      try {
        result.first = source_->make(number_, order_, b);
      } catch (...) { result.second = std::current_exception(); }
      lock.lock();
      ready_[b] = std::move(result);
      filled_.notify_one();
    }
  }

  // Replaces the current batch by the next one.
  void advance() {
    current_ = {};
    if (taken_ >= batches_) {
      finished_ = true;
      return;
    }
    if (workers_.empty()) {
      current_ = source_->make(number_, order_, taken_++);
      return;
    }
    Result result;
    {
      std::unique_lock lock(guard_);
      filled_.wait(lock, [&] { return ready_.contains(taken_); });
      result = std::move(ready_.extract(taken_++).mapped());
    }
    room_.notify_all();
    if (result.second) std::rethrow_exception(result.second);
    current_ = std::move(result.first);
  }

  void stop() {
    {
      const std::lock_guard lock(guard_);
      stopping_ = true;
    }
    room_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  std::shared_ptr<const Source> source_;
  std::uint64_t number_;
  std::vector<Index> order_;
  Index batches_, ahead_ = 1;

  std::mutex guard_;  // of the five below; taken_ is written by the consumer alone
  std::condition_variable room_, filled_;
  std::map<Index, Result> ready_;
  Index next_ = 0, taken_ = 0;
  bool stopping_ = false;

  Batch<T> current_;
  bool finished_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace tenon::data
