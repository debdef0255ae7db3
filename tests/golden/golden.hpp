// Reading the golden files: a case's parameters, its inputs drawn again, and the comparison with what PyTorch
// answered. README.md tells the names and the conventions.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tenon/autograd/autograd.hpp"
#include "tenon/io/json.hpp"
#include "tenon/io/safetensors.hpp"

namespace golden {

using namespace tenon;
using Values = Tensor<double>;

inline Shape shape_of(const io::Json& extents) {
  Shape shape;
  for (const auto& e : extents) shape.push_back(e.get<Index>());
  return shape;
}

inline std::uint32_t word(std::uint64_t seed, Index i) {
  const auto n = static_cast<std::uint64_t>(i);
  return philox(seed, n / 4, 0)[n % 4];
}

// offset + scale·u, u uniform in [-1, 1): the generator's golden_values.
inline Values values(std::uint64_t seed, const Shape& shape, double scale = 1, double offset = 0) {
  Values out(shape);
  for (Index i = 0; i < out.numel(); ++i) {
    out.data()[i] = offset + scale * (2 * unit_from_bits(word(seed, i)) - 1);
  }
  return out;
}

inline Tensor<std::int32_t> labels(std::uint64_t seed, Index count, Index classes) {
  Tensor<std::int32_t> out({count});
  for (Index i = 0; i < count; ++i)
    out.data()[i] = static_cast<std::int32_t>(word(seed, i) % static_cast<std::uint32_t>(classes));
  return out;
}

// The largest difference over the largest magnitude of the reference; infinite for another shape, NaN for a
// NaN.
inline double relative_error(const Values& actual, const Values& expected) {
  if (!actual.defined() || actual.shape() != expected.shape()) return std::numeric_limits<double>::infinity();
  double worst = 0, size = 0;
  for (Index i = 0; i < expected.numel(); ++i) {
    const double difference = std::abs(actual.data()[i] - expected.data()[i]);
    if (difference > worst || difference != difference) worst = difference;
    size = std::max(size, std::abs(expected.data()[i]));
  }
  return worst == 0 ? 0 : worst / size;
}

inline void check_close(const Values& actual, const Values& expected, double tolerance,
                        const std::string& what) {
  const double error = relative_error(actual, expected);
  const std::string seen =
      text(what, ": shape ", actual.shape(), ", expected ", expected.shape(), ", error ", error);
  CHECK_MESSAGE(!!(error <= tolerance), seen);
}

class File {
 public:
  explicit File(const std::string& name)
      : tensors_(io::SafeTensors::load(std::string(TENON_GOLDEN_DIR) + "/" + name)),
        about_(io::parse_json(tensors_.metadata().at("golden"), name)) {}

  const io::Json& cases() const { return about_.at("cases"); }
  Values operator[](const std::string& key) const { return tensors_.get<double>(key); }

 private:
  io::SafeTensors tensors_;
  io::Json about_;
};

// One call of a layer or operator.
class Case {
 public:
  Case(const File& file, std::string name, double tolerance)
      : file_(file), name_(std::move(name)), about_(file.cases().at(name_)), tolerance_(tolerance) {}

  const std::string& name() const { return name_; }
  bool is(std::string_view tag) const { return name_.find(tag) != name_.npos; }

  template <class V>
  V option(const char* key) const {
    return about_.at("parameters").at(key).get<V>();
  }
  Size2d size(const char* key) const {
    const auto pair = option<std::vector<Index>>(key);
    return {pair.at(0), pair.at(1)};
  }

  // The drawn input as a value, as labels, or as a leaf whose gradient agrees() will compare.
  Values input(const std::string& key) const {
    const auto& from = about_.at("inputs").at(key);
    return values(from.at("seed").get<std::uint64_t>(), shape_of(from.at("shape")),
                  from.at("scale").get<double>(), from.at("offset").get<double>());
  }
  Tensor<std::int32_t> labels(const std::string& key) const {
    const auto& from = about_.at("inputs").at(key);
    return golden::labels(from.at("seed").get<std::uint64_t>(), from.at("shape").at(0).get<Index>(),
                          from.at("classes").get<Index>());
  }
  Var<double> leaf(const std::string& key) {
    Var<double> x(input(key), {.requires_grad = true});
    leaves_.emplace_back(key, x);
    return x;
  }
  // The same, or undefined when the case has no such input (a layer without bias).
  Var<double> optional_leaf(const std::string& key) {
    return about_.at("inputs").contains(key) ? leaf(key) : Var<double>{};
  }

  void agrees(const std::string& what, const Values& actual) const {
    check_close(actual, file_[name_ + "." + what], tolerance_, name_ + "." + what);
  }

  // Compares the output and, after backward() from the drawn cotangent, every leaf's gradient.
  void agrees(const Var<double>& y) const {
    agrees("y", y.value());
    y.backward(input("dy"));
    for (const auto& [key, x] : leaves_) agrees("d" + key, x.grad());
  }

 private:
  const File& file_;
  std::string name_;
  const io::Json& about_;
  double tolerance_;
  std::vector<std::pair<std::string, Var<double>>> leaves_;
};

// Runs every case of a file through the function of its family, the name's part before the first point. A
// family without a function fails, so that no golden answer goes unused.
inline void run_cases(const std::string& file_name, double tolerance,
                      const std::map<std::string, std::function<void(Case&)>>& families) {
  const File file(file_name);
  CHECK(!file.cases().empty());
  for (const auto& item : file.cases().items()) {
    const std::string& name = item.key();
    const auto family = families.find(name.substr(0, name.find('.')));
    CHECK_MESSAGE(family != families.end(), "no test for golden case " << name);
    if (family == families.end()) continue;
    Case one(file, name, tolerance);
    family->second(one);
  }
}

}  // namespace golden
