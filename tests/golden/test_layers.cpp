// Layers against PyTorch: outputs and every gradient, in double.
#include "golden/golden.hpp"

using namespace tenon;
using golden::Case;

namespace {

void linear_case(Case& c) {
  const auto x = c.leaf("x"), w = c.leaf("w"), b = c.optional_leaf("b");
  c.agrees(linear(x, w, b));
}

void conv2d_case(Case& c) {
  const auto x = c.leaf("x"), w = c.leaf("w"), b = c.optional_leaf("b");
  c.agrees(conv2d(x, w, b,
                  {.stride = c.size("stride"),
                   .padding = c.size("padding"),
                   .dilation = c.size("dilation"),
                   .groups = c.option<Index>("groups")}));
}

void batch_norm_case(Case& c) {
  const auto x = c.leaf("x"), gamma = c.leaf("w"), beta = c.leaf("b");
  auto mean = c.input("running_mean"), var = c.input("running_var");
  const BatchNormParameters p{.momentum = c.option<double>("momentum"), .eps = c.option<double>("eps")};
  if (c.is(".train")) {
    c.agrees(batch_norm_train(x, gamma, beta, mean, var, p));
    c.agrees("running_mean", mean);
    c.agrees("running_var", var);
  } else {
    c.agrees(batch_norm_eval(x, gamma, beta, mean, var, p));
  }
}

Pool2dParameters pool(const Case& c) {
  return {.kernel = c.size("kernel"), .stride = c.size("stride"), .padding = c.size("padding")};
}

}  // namespace

TEST_CASE("layers agree with PyTorch") {
  golden::run_cases(
      "layers.safetensors", 1e-13,
      {{"linear", linear_case},
       {"conv2d", conv2d_case},
       {"batch_norm1d", batch_norm_case},
       {"batch_norm2d", batch_norm_case},
       {"max_pool2d", [](Case& c) { c.agrees(max_pool2d(c.leaf("x"), pool(c))); }},
       {"avg_pool2d", [](Case& c) { c.agrees(avg_pool2d(c.leaf("x"), pool(c))); }},
       {"adaptive_avg_pool2d", [](Case& c) { c.agrees(adaptive_avg_pool2d(c.leaf("x"), c.size("out"))); }},
       {"global_avg_pool2d", [](Case& c) { c.agrees(global_avg_pool2d(c.leaf("x"))); }},
       {"upsample_nearest", [](Case& c) { c.agrees(upsample_nearest(c.leaf("x"), c.size("size"))); }},
       {"upsample_bilinear", [](Case& c) {
          c.agrees(upsample_bilinear(c.leaf("x"), c.size("size"),
                                     {.align_corners = c.option<bool>("align_corners")}));
        }}});
}
