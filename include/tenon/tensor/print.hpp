// Tensors as text, for reading: a heading with type, device and shape, then aligned numbers in nested brackets.
// Long dimensions show their first and last three entries.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tenon/tensor/tensor.hpp"

namespace tenon {

struct PrintOptions {
  int decimals = 4;   // of a floating-point number
  Index edge = 3;     // entries shown at each end of a dimension longer than 2·edge + 1
};

namespace detail {

template <class T>
std::string number_text(T value, int decimals) {
  if constexpr (Floating<T>) {
    const auto number = static_cast<double>(value);
    if (!std::isfinite(number)) return std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
    const double size = std::abs(number);
    if (size != 0 && (size >= 1e6 || size < std::pow(10.0, -decimals))) {
      char digits[64];
      const auto end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific, decimals);
      return {digits, end.ptr};
    }
    return fixed(number, decimals);
  } else {
    return text(static_cast<std::int64_t>(value));
  }
}

// Calls visit(i) for the entries of a dimension that are shown, and gap() where some are left out.
template <class Visit, class Gap>
void shown_entries(Index extent, Index edge, const Visit& visit, const Gap& gap) {
  const bool all = extent <= 2 * edge + 1;
  for (Index i = 0; i < extent; ++i) {
    if (!all && i == edge) {
      gap();
      i = extent - edge;
    }
    visit(i);
  }
}

template <class T>
std::size_t widest(const Tensor<T, Cpu>& x, int d, Index at, const PrintOptions& o) {
  if (d == x.rank()) return number_text(x.data()[at], o.decimals).size();
  std::size_t width = 0;
  shown_entries(x.size(d), o.edge,
                [&](Index i) { width = std::max(width, widest(x, d + 1, at * x.size(d) + i, o)); }, [] {});
  return width;
}

template <class T>
void print_level(std::string& out, const Tensor<T, Cpu>& x, int d, Index at, std::size_t width, const PrintOptions& o) {
  if (d == x.rank()) {
    const std::string number = number_text(x.data()[at], o.decimals);
    out.append(width - std::min(width, number.size()), ' ');
    out += number;
    return;
  }
  const bool innermost = d == x.rank() - 1;
  const auto separate = [&](bool first) {
    if (first) return;
    if (innermost) {
      out += "  ";
    } else {
      out.append(static_cast<std::size_t>(d == x.rank() - 2 ? 1 : 2), '\n');
      out.append(static_cast<std::size_t>(d + 1), ' ');
    }
  };
  out += '[';
  bool first = true;
  shown_entries(
      x.size(d), o.edge,
      [&](Index i) {
        separate(first);
        first = false;
        print_level(out, x, d + 1, at * x.size(d) + i, width, o);
      },
      [&] {
        separate(first);
        out += "...";
      });
  out += ']';
}

}  // namespace detail

// Tensor<float, cpu> (2,2)
// [[ 1.0000   0.5000]
//  [-2.0000  10.0000]]
template <class T, class D>
std::string to_string(const Tensor<T, D>& x, const PrintOptions& options = {}) {
  std::string out = text("Tensor<", scalar_name<T>(), ", ", D::name, "> ", x.shape(), "\n");
  if (x.numel() == 0) return out + "[]";
  const Tensor<T, Cpu> host = x.template to<Cpu>();
  detail::print_level(out, host, 0, 0, detail::widest(host, 0, 0, options), options);
  return out;
}

}  // namespace tenon
