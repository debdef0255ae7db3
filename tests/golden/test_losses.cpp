// Losses against PyTorch: values and gradients, in double.
#include "golden/golden.hpp"
#include "tenon/nn/loss.hpp"

using namespace tenon;
using golden::Case;

namespace {

nn::Reduction reduction(const Case& c) {
  const auto name = c.option<std::string>("reduction");
  return name == "none" ? nn::Reduction::none : name == "sum" ? nn::Reduction::sum : nn::Reduction::mean;
}

void cross_entropy_case(Case& c) {
  const nn::CrossEntropyOptions options{.label_smoothing = c.option<double>("label_smoothing"),
                                        .reduction = reduction(c)};
  const auto x = c.leaf("x");
  if (c.is(".soft")) {
    c.agrees(nn::cross_entropy(x, c.input("target"), options));
  } else {
    c.agrees(nn::cross_entropy(x, c.labels("target"), options));
  }
}

}  // namespace

TEST_CASE("losses agree with PyTorch") {
  golden::run_cases(
      "losses.safetensors", 1e-13,
      {{"cross_entropy", cross_entropy_case},
       {"nll", [](Case& c) { c.agrees(nn::nll_loss(c.leaf("x"), c.labels("target"), reduction(c))); }},
       {"mse",
        [](Case& c) { c.agrees(nn::mse_loss(c.leaf("x"), Var<double>(c.input("target")), reduction(c))); }},
       {"bce_with_logits",
        [](Case& c) { c.agrees(nn::bce_with_logits(c.leaf("x"), c.input("target"), reduction(c))); }}});
}
