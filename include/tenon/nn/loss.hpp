// Losses. Predictions first, targets second; the mean over the batch unless asked otherwise.
#pragma once

#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/reduce.hpp"

namespace tenon::nn {

enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  double label_smoothing = 0;  // share of the target spread evenly over all classes (Szegedy et al. 2016)
  Reduction reduction = Reduction::mean;
};

// Class indices on the host, which is where a loader has them.
using Labels = Tensor<std::int32_t, Cpu>;

namespace detail {

// Log-probabilities times target probabilities. A class that is no target counts nothing, also where its
// logarithm is -inf, as after masking.
template <class T, class D>
Var<T, D> weighted(const Var<T, D>& x, const Tensor<T, D>& targets) {
  return record(zip(fn::Weighted{}, x.value(), targets, "cross_entropy"), {x},
                [=](const Tensor<T, D>& dy) { x.accumulate(dy * targets); });
}

// A loss for each row of a batch, reduced as asked.
template <class T, class D>
Var<T, D> reduced(const Var<T, D>& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

inline void check_smoothing(double share) {
  require<ValueError>(share >= 0 && share <= 1, "label_smoothing is ", share, ", expected 0 to 1");
}

}  // namespace detail

// The target distributions (N,classes) of class indices (N): 1 - smoothing + smoothing/classes at the label,
// smoothing/classes elsewhere. A label outside 0 … classes-1 is an error.
template <class T, class D>
Tensor<T, D> label_distribution(const Labels& labels, Index classes, double smoothing = 0) {
  detail::check_smoothing(smoothing);
  auto target =
      Tensor<T, Cpu>::full({labels.numel(), classes}, static_cast<T>(smoothing / static_cast<double>(classes)));
  for (Index i = 0; i < labels.numel(); ++i) {
    const std::int32_t label = labels.data()[i];
    require<ValueError>(label >= 0 && label < classes, "label ", label, " of sample ", i, " is out of range for ",
                        classes, " classes");
    target.data()[i * classes + label] += static_cast<T>(1 - smoothing);
  }
  return target.template to<D>();
}

// -Σ target·log softmax(logits) for logits (N,classes) and target distributions (N,classes).
template <class T, class D>
Var<T, D> cross_entropy(const Var<T, D>& logits, const Tensor<T, D>& targets, CrossEntropyOptions options = {}) {
  require<ShapeError>(logits.rank() == 2 && logits.shape() == targets.shape(), "cross_entropy: logits ",
                      logits.shape(), " and targets ", targets.shape(), ", expected (N,classes) twice");
  const double s = options.label_smoothing;
  detail::check_smoothing(s);
  const auto smooth = s == 0 ? targets : targets * (1 - s) + s / static_cast<double>(logits.size(1));
  const Index rows = logits.size(0);
  const bool mean_of_rows = options.reduction == Reduction::mean, each = options.reduction == Reduction::none;
  Tensor<T, D> losses({rows}), slope(logits.shape());
  Backend<D>::cross_entropy(rows, logits.size(1), mean_of_rows ? 1 / static_cast<double>(rows) : 1.0,
                            logits.value().data(), smooth.data(), losses.data(), slope.data());
  return record(each ? losses : mean_of_rows ? mean(losses) : sum(losses), {logits}, [=](const Tensor<T, D>& dy) {
    logits.accumulate(slope * (each ? dy.reshape({rows, 1}) : dy));
  });
}

// The same for class indices (N).
template <class T, class D>
Var<T, D> cross_entropy(const Var<T, D>& logits, const Labels& labels, CrossEntropyOptions options = {}) {
  require<ShapeError>(logits.rank() == 2 && labels.shape() == Shape{logits.size(0)}, "cross_entropy: logits ",
                      logits.shape(), " and labels ", labels.shape(), ", expected (N,classes) and (N)");
  const auto targets = label_distribution<T, D>(labels, logits.size(1), options.label_smoothing);
  return cross_entropy(logits, targets, {.reduction = options.reduction});
}

// -log_probabilities[i, label i] for log-probabilities (N,classes).
template <class T, class D>
Var<T, D> nll_loss(const Var<T, D>& log_probabilities, const Labels& labels, Reduction reduction = Reduction::mean) {
  require<ShapeError>(log_probabilities.rank() == 2 && labels.shape() == Shape{log_probabilities.size(0)},
                      "nll_loss: log-probabilities ", log_probabilities.shape(), " and labels ", labels.shape(),
                      ", expected (N,classes) and (N)");
  const auto targets = label_distribution<T, D>(labels, log_probabilities.size(1));
  return detail::reduced(-sum(detail::weighted(log_probabilities, targets), {.axes = {1}}), reduction);
}

// (prediction - target)², over all elements.
template <class T, class D>
Var<T, D> mse_loss(const Var<T, D>& prediction, const Var<T, D>& target, Reduction reduction = Reduction::mean) {
  require<ShapeError>(prediction.shape() == target.shape(), "mse_loss: prediction ", prediction.shape(),
                      " and target ", target.shape(), " differ");
  return detail::reduced(square(prediction - target), reduction);
}

// Binary cross-entropy of sigmoid(logits), in a form that cannot overflow: log(1 + eˣ) - x·target.
template <class T, class D>
Var<T, D> bce_with_logits(const Var<T, D>& logits, const Tensor<T, D>& targets, Reduction reduction = Reduction::mean) {
  require<ShapeError>(logits.shape() == targets.shape(), "bce_with_logits: logits ", logits.shape(), " and targets ",
                      targets.shape(), " differ");
  return detail::reduced(softplus(logits) - logits * targets, reduction);
}

}  // namespace tenon::nn
