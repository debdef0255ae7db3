// A scene as one vector: its pixels at 16×16, or its local descriptors summed up over a vocabulary.
#pragma once

#include <tenon/bovw/fisher.hpp>
#include <tenon/bovw/histogram.hpp>
#include <tenon/bovw/normalize.hpp>
#include <tenon/bovw/pyramid.hpp>
#include <tenon/bovw/vlad.hpp>
#include <tenon/bovw/vocabulary.hpp>
#include <tenon/decomposition/pca.hpp>
#include <tenon/features/dense_sift.hpp>
#include <tenon/features/sift/sift.hpp>
#include <tenon/train/progress.hpp>

#include <mutex>
#include <optional>

#include "options.hpp"
#include "pictures.hpp"

namespace programs {

// 16×16 pixels, mean 0, length 1 -> (n,256)
inline Tensor<float> tiny_images(const ScenePart& part) {
  using namespace tenon;
  constexpr Index side = 16;
  Tensor<float> x({part.size(), side * side});
  parallel_for(part.size(), [&](Index i) {
    const Tensor<float> tiny =
        image::resize(part.gray(i), {.height = side, .width = side, .filter = image::Filter::area});
    float mean = 0;
    for (const float v : tiny.span()) mean += v / static_cast<float>(side * side);
    std::transform(tiny.data(), tiny.data() + tiny.numel(), x.data() + i * tiny.numel(),
                   [&](float v) { return v - mean; });
  });
  l2_normalize_(x);
  return x;
}

// The local descriptors of one picture and where they lie.
struct LocalFeatures {
  std::vector<tenon::Place> places;
  Tensor<float> descriptors;  // (n,128), RootSIFT
};

inline LocalFeatures local_features(const Tensor<float>& gray, const SceneOptions& o) {
  using namespace tenon;
  std::vector<Features> found;
  if (o.detector == "dog") {
    // Scenes stand upright, so a direction says something; faint key points describe sky and water.
    found.push_back(sift(gray, {.contrast = 0.003, .upright = true}));
  } else {
    // Without smoothing first: fine texture tells scenes apart.
    for (const Index bin : o.bins)
      found.push_back(dense_sift(gray, {.step = o.step, .bin_size = bin, .blur = 0, .contrast = 0.005}));
  }
  LocalFeatures local;
  Index count = 0;
  for (const Features& f : found) count += static_cast<Index>(f.keypoints.size());
  local.descriptors = Tensor<float>({count, 128});
  float* to = local.descriptors.data();
  const auto width = static_cast<float>(gray.size(1)), height = static_cast<float>(gray.size(0));
  for (const Features& f : found) {
    for (const Keypoint& p : f.keypoints)
      local.places.push_back({(p.x + 0.5f) / width, (p.y + 0.5f) / height});
    to = std::copy_n(f.descriptors.data(), f.descriptors.numel(), to);
  }
  return local;
}

// Turns pictures into vectors; what it needs to know it learns from training pictures.
class BagOfSift {
 public:
  BagOfSift(const ScenePart& train, const SceneOptions& o, tenon::Rng& rng) : options_(o) {
    using namespace tenon;
    const Tensor<float> sample = sample_descriptors(train, rng);
    const Index size = o.vocab > 0 ? o.vocab : o.encoding == "hist" ? 400 : 64;
    require<ValueError>(size <= sample.size(0), "--vocab ", size, ": more words than the ", sample.size(0),
                        " descriptors found in the training pictures");
    if (o.encoding == "fisher") {
      pca_.emplace(sample, PcaOptions{.components = std::min<Index>(64, sample.size(0))});
      fisher_.emplace(fit_gmm(pca_->transform(sample), {.components = size, .iterations = 15}, rng));
    } else {
      vocabulary_.emplace(build_vocabulary(sample, {.words = size, .iterations = 15}, rng));
    }
  }

  // The settings in words: "dense RootSIFT, 400 words, pyramid of 2 levels".
  std::string describe() const {
    using tenon::text;
    std::string s = options_.detector == "dog" ? "SIFT at DoG key points, " : "dense RootSIFT, ";
    if (fisher_)
      s += text("Fisher vectors of ", fisher_->gmm().size(), " Gaussians");
    else
      s += text(options_.encoding == "vlad" ? "VLAD of " : "", vocabulary_->size(), " words");
    if (options_.pyramid > 0) s += text(", pyramid of ", options_.pyramid + 1, " levels");
    return options_.tf_idf && options_.encoding == "hist" ? s + ", tf-idf" : s;
  }

  // -> (n, width)
  Tensor<float> encode(const ScenePart& part, const std::string& title) const {
    using namespace tenon;
    std::vector<Tensor<float>> codes(static_cast<std::size_t>(part.size()));
    train::ProgressBar bar(title, part.size());
    std::mutex guard;
    Index done = 0;
    parallel_for(part.size(), [&](Index i) {
      codes[static_cast<std::size_t>(i)] = encode_one(local_features(part.gray(i), options_));
      const std::lock_guard lock(guard);
      bar.update(++done);
    });
    Tensor<float> x({part.size(), codes[0].numel()});
    for (Index i = 0; i < part.size(); ++i) x[i].copy_(codes[static_cast<std::size_t>(i)]);
    if (options_.encoding == "hist")
      l1_normalize_(x);
    else
      l2_normalize_(x);
    return x;
  }

 private:
  // Rows from pictures spread over the training set.
  Tensor<float> sample_descriptors(const ScenePart& train, tenon::Rng& rng) const {
    using namespace tenon;
    constexpr Index from_pictures = 300, rows = 200;
    const Index pictures = std::min(from_pictures, train.size());
    std::vector<Tensor<float>> samples(static_cast<std::size_t>(pictures));
    const Rng start = rng.fork(1);
    parallel_for(pictures, [&](Index i) {
      const LocalFeatures local = local_features(train.gray(i * train.size() / pictures), options_);
      Rng own = start.fork(static_cast<std::uint64_t>(i));
      if (!local.places.empty())
        samples[static_cast<std::size_t>(i)] = sample_rows({&local.descriptors, 1}, rows, own);
    });
    std::erase_if(samples, [](const Tensor<float>& s) { return !s.defined(); });
    require<ValueError>(!samples.empty(),
                        "no descriptors in the training pictures; are they larger than 40×40 pixels?");
    return sample_rows(samples, from_pictures * rows, rng);
  }

  Tensor<float> encode_one(const LocalFeatures& local) const {
    using namespace tenon;
    const auto pyramid = [&](auto&& encode) {
      return encode_pyramid(local.places, options_.pyramid, encode);
    };
    if (fisher_) {
      const Tensor<float> reduced = local.places.empty() ? Tensor<float>({0, fisher_->gmm().width()})
                                                         : pca_->transform(local.descriptors);
      return pyramid([&](std::span<const Index> rows) { return (*fisher_)(reduced, rows); });
    }
    const Assignment a = vocabulary_->assign(local.descriptors);
    return pyramid([&](std::span<const Index> rows) {
      return options_.encoding == "vlad" ? vlad(local.descriptors, a, rows, *vocabulary_)
                                         : word_histogram(a, rows, vocabulary_->size());
    });
  }

  SceneOptions options_;
  std::optional<tenon::Vocabulary> vocabulary_;
  std::optional<tenon::Pca> pca_;
  std::optional<tenon::FisherEncoder> fisher_;
};

}  // namespace programs
