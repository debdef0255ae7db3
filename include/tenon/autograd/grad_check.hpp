// Gradient checking: does backward() agree with finite differences? For tests, and for anyone who writes an op.
//
//   auto report = grad_check([](const auto& x) { return swish(x[0]); }, {x});
//   CHECK_MESSAGE(report.ok, report.message);
//
// The output is contracted with a random cotangent, so every element of the Jacobian is exercised; leaves
// start with a non-zero gradient, so an op that overwrites instead of adding is caught; a NaN fails; and at
// least one derivative must be non-zero, so an op that ignores its inputs is caught.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "tenon/autograd/reduce.hpp"

namespace tenon {

struct GradCheckOptions {
  double step = 1e-5;        // of the central difference
  double tolerance = 1e-6;   // of |analytic - numeric| relative to max(1, |numeric|)
  std::uint64_t seed = 1;
};

struct GradCheckReport {
  bool ok = true;
  double worst = 0;      // the largest relative error
  std::string message;   // where and what, if not ok
};

// `op` maps a vector of Vars to one Var and must be the same function at every call. Inputs should keep away
// from kinks (relu at 0, ties of a maximum) by more than the step.
template <class Op>
GradCheckReport grad_check(const Op& op, const std::vector<Tensor<double>>& inputs,
                           const GradCheckOptions& options = {}) {
  Rng rng(options.seed);
  GradCheckReport report;
  const auto failed = [&](std::string message) {
    report.ok = false;
    if (report.message.empty()) report.message = "grad_check: " + std::move(message);
  };

  std::vector<Var<double>> leaves;
  std::vector<Tensor<double>> starts;
  for (const auto& x : inputs) {
    leaves.emplace_back(x.clone(), VarOptions{.requires_grad = true});
    starts.push_back(Tensor<double>::uniform(x.shape(), rng, 0.5, 1.5));
    leaves.back().set_grad(starts.back().clone());
  }
  const Var<double> y = op(leaves);
  if (!y.requires_grad()) {
    failed("the result does not depend on its inputs");
    return report;
  }
  const auto cotangent = Tensor<double>::uniform(y.shape(), rng, 0.5, 1.5) *
                         (Tensor<double>::uniform(y.shape(), rng).cast<double>() * 2 - 1);
  y.backward(cotangent.clone());

  const auto contracted = [&] {
    const NoGrad guard;
    return sum(op(leaves).value() * cotangent).item();
  };
  bool depends = false;
  for (std::size_t which = 0; which < leaves.size(); ++which) {
    auto values = leaves[which].value().span();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double at = values[i];
      values[i] = at + options.step;
      const double above = contracted();
      values[i] = at - options.step;
      const double below = contracted();
      values[i] = at;
      const double numeric = (above - below) / (2 * options.step);
      const double analytic = leaves[which].grad().span()[i] - starts[which].span()[i];
      const double error = std::abs(analytic - numeric) / std::max(1.0, std::abs(numeric));
      depends = depends || std::abs(numeric) > options.tolerance;
      if (error > report.worst) report.worst = error;
      if (!(error <= options.tolerance)) {  // so that NaN fails
        failed(text("input ", which, ", element ", i, ": backward gives ", analytic, ", finite differences give ",
                    numeric));
      }
    }
  }
  if (!depends) failed("every finite difference is zero: the result is constant");
  return report;
}

}  // namespace tenon
