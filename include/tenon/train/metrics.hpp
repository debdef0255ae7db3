// Running totals over batches: loss, accuracy, top-k accuracy and the confusion matrix.
#pragma once

#include "tenon/nn/loss.hpp"
#include "tenon/tensor/topk.hpp"
#include "tenon/train/confusion.hpp"

namespace tenon::train {

// Top-k is skipped with k = 0, the confusion matrix without a pointer.
struct Metrics {
  Index top_k = 0;
  ConfusionMatrix* confusion = nullptr;
  double loss_sum = 0;
  Index correct = 0, correct_topk = 0, count = 0;

  // `loss` is the mean over the batch; logits (N,classes), labels (N).
  template <class T, class D>
  void add(double loss, const Tensor<T, D>& logits, const nn::Labels& labels) {
    require<ShapeError>(logits.rank() == 2 && logits.size(1) > 0 && labels.shape() == Shape{logits.size(0)},
                        "metrics: logits ", logits.shape(), " and labels ", labels.shape(),
                        ", expected (N,classes) and (N)");
    const Index n = labels.numel(), k = std::min(std::max<Index>(top_k, 1), logits.size(1));
    const auto best = topk(logits, k);
    loss_sum += loss * static_cast<double>(n);
    count += n;
    for (Index i = 0; i < n; ++i) {
      const Index label = labels.data()[i];
      for (Index j = 0; j < k; ++j) {
        if (best.indices.data()[i * k + j] != label) continue;
        ++correct_topk;
        if (j == 0) ++correct;
      }
      if (confusion) confusion->add(label, best.indices.data()[i * k]);
    }
  }

  double loss() const { return count ? loss_sum / static_cast<double>(count) : 0; }
  double accuracy() const { return count ? static_cast<double>(correct) / static_cast<double>(count) : 0; }
  double topk_accuracy() const { return count ? static_cast<double>(correct_topk) / static_cast<double>(count) : 0; }
};

}  // namespace tenon::train
