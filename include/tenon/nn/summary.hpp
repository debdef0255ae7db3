// The table of a network: each layer's output shape and parameters, totals and sizes in MB.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tenon/nn/module.hpp"

namespace tenon::nn {

enum class ShapeOrder { nhwc, nchw };

struct SummaryOptions {
  ShapeOrder order = ShapeOrder::nhwc;  // how picture shapes are printed; nchw is what PyTorch shows
};

struct SummaryRow {
  std::string name, kind;
  Shape output;
  Index parameters = 0;
};

struct Summary {
  std::vector<SummaryRow> rows;  // in the order the layers ran
  Index parameters = 0, trainable = 0;
  double input_mb = 0, activations_mb = 0, parameters_mb = 0;  // 1 MB = 2^20 bytes

  std::string to_string(const SummaryOptions& options = {}) const;
};

namespace detail {

inline std::string shape_text(const Shape& shape, ShapeOrder order) {
  if (order == ShapeOrder::nhwc || shape.rank() != 4) return text(shape);
  return text(Shape{shape[0], shape[3], shape[1], shape[2]});
}

inline std::string with_commas(Index number) {
  std::string digits = text(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

inline void pad_to(std::string& line, std::size_t column) {
  line.append(column > line.size() ? column - line.size() : 1, ' ');
}

// One layer of the model: where it lives in memory says which call of operator() was its.
struct Known {
  std::string name;
  Index parameters;
};

}  // namespace detail

// Runs the model once on zeros of the given shape, in evaluation mode and without recording.
// activations_mb counts every layer's output twice, once for its gradient, as the reports' tables do.
template <class M>
Summary summary(M& model, const Shape& input) {
  using T = ValueOf<M>;
  using D = DeviceOf<M>;
  std::map<std::pair<const void*, std::string>, detail::Known> layers;
  Summary result;
  walk(model, "", [&](const std::string& name, auto& part) {
    using Part = std::remove_cvref_t<decltype(part)>;
    if constexpr (requires { Part::kind; }) layers[{&part, Part::kind}] = {name, 0};
    if constexpr (requires { Part::kind; part.parts(detail::AnyVisitor{}); }) {
      Index count = 0;
      part.parts([&](std::string_view, auto& own) {
        if constexpr (detail::is_var<std::remove_cvref_t<decltype(own)>>) count += own.defined() ? own.numel() : 0;
      });
      layers[{&part, Part::kind}].parameters = count;
    }
  });
  for (const auto& p : named_parameters(model)) {
    result.parameters += p.var.numel();
    if (p.var.requires_grad()) result.trainable += p.var.numel();
  }

  std::vector<Observation> seen;
  {
    const NoGrad guard;
    const EvaluationScope evaluation(model);
    const ObserverScope observer(seen);
    model(Var<T, D>(Tensor<T, D>::zeros(input)));
  }

  const double mb = 1024.0 * 1024.0, size = sizeof(T);
  double activations = 0;
  for (const Observation& o : seen) {
    const auto layer = layers.find({o.layer, o.kind});
    const bool known = layer != layers.end();
    result.rows.push_back({known ? layer->second.name : "", o.kind, o.output, known ? layer->second.parameters : 0});
    activations += static_cast<double>(o.output.numel()) * size * 2;
  }
  result.input_mb = static_cast<double>(input.numel()) * size / mb;
  result.activations_mb = activations / mb;
  result.parameters_mb = static_cast<double>(result.parameters) * size / mb;
  return result;
}

inline std::string Summary::to_string(const SummaryOptions& options) const {
  std::size_t name_width = 16, shape_width = 22;
  for (const SummaryRow& row : rows) {
    name_width = std::max(name_width, row.name.size() + row.kind.size() + 5);
    shape_width = std::max(shape_width, detail::shape_text(row.output, options.order).size() + 2);
  }
  const std::string rule(name_width + shape_width + 14, '-');
  std::string out = rule + "\n";
  const auto line = [&](const std::string& a, const std::string& b, const std::string& c) {
    std::string row = a;
    detail::pad_to(row, name_width);
    row += b;
    detail::pad_to(row, name_width + shape_width);
    row.append(14 - std::min<std::size_t>(14, c.size()), ' ');
    out += row + c + "\n";
  };
  line("layer (kind)", "output shape", "parameters");
  out += rule + "\n";
  for (const SummaryRow& row : rows) {
    line(text(row.name, row.name.empty() ? "(" : " (", row.kind, ")"), detail::shape_text(row.output, options.order),
         detail::with_commas(row.parameters));
  }
  out += rule + "\n";
  out += text("parameters: ", detail::with_commas(parameters), " (", detail::with_commas(trainable), " trainable)\n");
  out += text("input ", fixed(input_mb, 2), " MB, forward and backward pass ", fixed(activations_mb, 2),
              " MB, parameters ", fixed(parameters_mb, 2), " MB, total ",
              fixed(input_mb + activations_mb + parameters_mb, 2), " MB\n");
  return out + rule + "\n";
}

}  // namespace tenon::nn
