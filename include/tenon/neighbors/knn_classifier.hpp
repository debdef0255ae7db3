// Classification by the votes of the nearest training samples (Cover & Hart 1967).
#pragma once

#include "tenon/neighbors/knn_search.hpp"

namespace tenon {

enum class KnnWeights {
  uniform,   // every neighbour has one vote
  distance,  // 1/distance; where neighbours are at distance 0, only they vote
};

struct KnnClassifierOptions {
  Index k = 5;
  Metric metric = Metric::l2;
  KnnWeights weights = KnnWeights::uniform;
};

class KnnClassifier {
 public:
  // x (n,d), labels (n): any integers. 1 <= k <= n.
  KnnClassifier(const Tensor<float>& x, const Tensor<std::int32_t>& labels,
                const KnnClassifierOptions& options = {})
      : search_(x, options.metric, "KnnClassifier"), labels_(labels), options_(options) {
    require<ShapeError>(labels.shape() == Shape{x.size(0)}, "KnnClassifier: labels is ", labels.shape(),
                        ", expected (", x.size(0), ") as x is ", x.shape());
    require<ValueError>(options.k >= 1 && options.k <= x.size(0), "KnnClassifier: k is ", options.k,
                        ", expected 1 to ", x.size(0), ", the number of rows of x");
  }

  // queries (m,d) -> (m): the label with most votes; of labels with equal votes that of the nearest
  // neighbour.
  Tensor<std::int32_t> predict(const Tensor<float>& queries) const {
    const Neighbors near = search_.search(queries, options_.k);
    Tensor<std::int32_t> out({queries.size(0)});
    for (Index i = 0; i < queries.size(0); ++i) {
      out.data()[i] = vote(near.indices.data() + i * options_.k, near.distances.data() + i * options_.k);
    }
    return out;
  }

 private:
  std::int32_t vote(const std::int32_t* indices, const float* distances) const {
    struct Votes {
      std::int32_t label;
      double count;
    };
    std::vector<Votes> votes;  // in the order in which the labels appear, nearest first
    const bool exact = distances[0] == 0;
    for (Index j = 0; j < options_.k; ++j) {
      double weight = 1;
      if (options_.weights == KnnWeights::distance) {
        weight = exact ? (distances[j] == 0 ? 1.0 : 0.0) : 1 / static_cast<double>(distances[j]);
      }
      const std::int32_t label = labels_.data()[indices[j]];
      const auto same = [label](const Votes& v) { return v.label == label; };
      const auto known = std::find_if(votes.begin(), votes.end(), same);
      if (known == votes.end())
        votes.push_back({label, weight});
      else
        known->count += weight;
    }
    const auto fewer = [](const Votes& a, const Votes& b) { return a.count < b.count; };
    return std::max_element(votes.begin(), votes.end(), fewer)->label;  // the first of equal ones
  }

  NearestNeighbors search_;
  Tensor<std::int32_t> labels_;
  KnnClassifierOptions options_;
};

}  // namespace tenon
