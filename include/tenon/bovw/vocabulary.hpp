// A visual vocabulary: descriptors of training pictures, clustered into words (Sivic & Zisserman 2003; Csurka
// et al. 2004), and the words that a descriptor is assigned to.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "tenon/cluster/kmeans.hpp"
#include "tenon/tensor/matmul.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon {

// `count` rows drawn without replacement from the sets (n_i,d) taken together -> (count,d), or all of them
// where there are no more. The same generator draws the same rows. ValueError without any row.
inline Tensor<float> sample_rows(std::span<const Tensor<float>> sets, Index count, Rng& rng) {
  Index total = 0, width = 0;
  for (const auto& set : sets) {
    require<ShapeError>(set.rank() == 2, "sample_rows: shape ", set.shape(), ", expected (n,d)");
    if (set.size(0) == 0) continue;
    require<ShapeError>(width == 0 || set.size(1) == width, "sample_rows: rows of ", set.size(1), " and of ",
                        width, " elements");
    width = set.size(1);
    total += set.size(0);
  }
  require<ValueError>(total > 0 && count > 0, "sample_rows: ", count, " of ", total,
                      " rows, expected at least 1");
  count = std::min(count, total);

  Tensor<float> out({count, width});
  Index seen = 0, taken = 0;  // selection sampling (Knuth 1997, algorithm 3.4.2 S)
  for (const auto& set : sets) {
    for (Index r = 0; r < set.size(0) && taken < count; ++r, ++seen) {
      if (rng.uniform() * static_cast<double>(total - seen) >= static_cast<double>(count - taken)) continue;
      std::copy_n(set.data() + r * width, width, out.data() + taken++ * width);
    }
  }
  return taken == count ? out : out.rows(0, taken);
}

// The words of each descriptor, the nearest first, and how much of it each one gets.
struct Assignment {
  Tensor<std::int32_t> words;  // (n,k)
  Tensor<float> weights;       // (n,k), each row adds up to 1
};

struct AssignOptions {
  Index nearest = 1;  // words a descriptor is shared among; 1: hard assignment
  double softness = 0.2;  // with more: exp(-(d² - d₀²) / (2·softness²)), d the distances and d₀ the nearest
};

class Vocabulary {
 public:
  // words (k,d): the cluster centres.
  explicit Vocabulary(Tensor<float> words) : words_(std::move(words)) {
    require<ShapeError>(words_.rank() == 2 && words_.numel() > 0, "vocabulary: shape ", words_.shape(),
                        ", expected (words,d) and at least one word");
    for (Index k = 0; k < size(); ++k) {
      double sum = 0;
      for (Index i = 0; i < width(); ++i) sum += static_cast<double>(word(k)[i]) * word(k)[i];
      half_squares_.push_back(static_cast<float>(sum / 2));
    }
  }

  Index size() const { return words_.size(0); }
  Index width() const { return words_.size(1); }
  const Tensor<float>& words() const { return words_; }
  const float* word(Index k) const { return words_.data() + k * width(); }

  // descriptors (n,d) -> the `nearest` words of each (soft weights as in Philbin et al. 2008, "Lost in
  // quantization"). Of words equally near the lower number comes first.
  Assignment assign(const Tensor<float>& descriptors, const AssignOptions& o = {}) const {
    require<ShapeError>(descriptors.rank() == 2 && descriptors.size(1) == width(),
                        "assign: descriptors of shape ", descriptors.shape(), ", the words have ", width(),
                        " elements");
    require<ValueError>(o.nearest >= 1 && o.nearest <= size(), "assign: nearest is ", o.nearest,
                        ", expected 1 to ", size(), " words");
    require<ValueError>(o.softness > 0, "assign: softness is ", o.softness, ", expected more than 0");
    const Index n = descriptors.size(0);
    Assignment a{Tensor<std::int32_t>({n, o.nearest}), Tensor<float>({n, o.nearest})};
    // |x - w|² / 2 = |x|²/2 - (x·w - |w|²/2): the nearest word has the largest score. Blocks bound the
    // memory.
    constexpr Index block = 1024;
    for (Index begin = 0; begin < n; begin += block) {
      const Index end = std::min(n, begin + block);
      const Tensor<float> scores = matmul(descriptors.rows(begin, end), words_, {.transpose_b = true});
      for (Index r = begin; r < end; ++r) {
        float* row = const_cast<float*>(scores.data()) + (r - begin) * size();
        for (Index k = 0; k < size(); ++k) row[k] -= half_squares_[static_cast<std::size_t>(k)];
        best_of(row, o, a.words.data() + r * o.nearest, a.weights.data() + r * o.nearest);
      }
    }
    return a;
  }

 private:
  void best_of(const float* scores, const AssignOptions& o, std::int32_t* words, float* weights) const {
    Index kept = 0;
    for (Index k = 0; k < size(); ++k) {
      if (kept == o.nearest && !(scores[k] > weights[kept - 1])) continue;
      Index place = kept < o.nearest ? kept++ : kept - 1;
      for (; place > 0 && scores[k] > weights[place - 1]; --place) {
        weights[place] = weights[place - 1];
        words[place] = words[place - 1];
      }
      weights[place] = scores[k];
      words[place] = static_cast<std::int32_t>(k);
    }
    const float best = weights[0];
    const auto sharpness = static_cast<float>(1 / (o.softness * o.softness));
    float sum = 0;
    for (Index i = 0; i < kept; ++i)
      sum += weights[i] = i == 0 ? 1 : std::exp((weights[i] - best) * sharpness);
    for (Index i = 0; i < kept; ++i) weights[i] /= sum;
  }

  Tensor<float> words_;
  std::vector<float> half_squares_;
};

struct VocabularyOptions {
  Index words = 400;
  Index iterations = 25;  // of Lloyd's algorithm
};

// descriptors (n,d), n at least the number of words.
inline Vocabulary build_vocabulary(const Tensor<float>& descriptors, const VocabularyOptions& o, Rng& rng) {
  return Vocabulary(kmeans(descriptors, {.k = o.words, .max_iterations = o.iterations}, rng).centers);
}

}  // namespace tenon
