// The 16-bit formats, exhaustively, against definitions written with ldexp.
#include <cmath>
#include <cstring>
#include <limits>

#include "close.hpp"
#include "tenon/core/scalar.hpp"

using namespace tenon;

namespace {

// The value of sign, exponent and significand fields as the standard defines it.
double value_of(std::uint32_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto fraction = static_cast<double>(bits & ((1u << fraction_bits) - 1));
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

// Every pattern widens to its value and comes back; halfway points go to the even neighbour, others to the
// nearer.
template <class H>
int count_wrong(int exponent_bits, int fraction_bits) {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    H h;
    h.bits = static_cast<std::uint16_t>(bits);
    const float wide = h;
    const double expected = value_of(bits, exponent_bits, fraction_bits);
    if (std::isnan(expected)) {
      wrong += !std::isnan(wide) || !std::isnan(static_cast<float>(H(wide)));
      continue;
    }
    wrong += static_cast<double>(wide) != expected || std::signbit(wide) != std::signbit(expected);
    wrong += H(wide).bits != bits;
    const double next = value_of(bits + 1, exponent_bits, fraction_bits);
    if (!std::isfinite(expected) || !std::isfinite(next) || bits == 0x7FFF) continue;
    const double middle = (expected + next) / 2;
    const auto f = static_cast<float>(middle);
    if (static_cast<double>(f) != middle) continue;  // not a float (the smallest of bfloat16)
    const auto even = static_cast<std::uint16_t>(bits + (bits & 1));
    wrong += H(f).bits != even;
    wrong += H(std::nextafter(f, 0.0f)).bits != bits;
    wrong += H(std::nextafter(f, std::copysign(std::numeric_limits<float>::infinity(), f))).bits != bits + 1;
  }
  return wrong;
}

}  // namespace

TEST_CASE("half: all 65536 patterns, and rounding between neighbours") {
  CHECK(count_wrong<half>(5, 10) == 0);
  CHECK(half(65504.0f).bits == 0x7BFF);
  CHECK(half(65519.0f).bits == 0x7BFF);
  CHECK(half(65520.0f).bits == 0x7C00);  // halfway to 65536 goes to infinity
  CHECK(half(-1e30f).bits == 0xFC00);
  CHECK(half(1e-30f).bits == 0);
  CHECK(half(-0.0f).bits == 0x8000);
  CHECK(half(0x1p-25f).bits == 0);  // halfway to the smallest: to even
  CHECK(half(0x1.000002p-25f).bits == 1);
}

TEST_CASE("bfloat16: all 65536 patterns, and rounding between neighbours") {
  CHECK(count_wrong<bfloat16>(8, 7) == 0);
  CHECK(bfloat16(1.0f).bits == 0x3F80);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7F80);
  CHECK(bfloat16(std::numeric_limits<float>::infinity()).bits == 0x7F80);
}

TEST_CASE("16-bit tensors: elementwise work is done in float, sums too") {
  const auto x = Tensor<half>::full({4096}, half(1.0f));
  CHECK(static_cast<float>(x.cast<float>().data()[7]) == 1.0f);
  const Tensor<double> d({3}, {1.00048828125, 65504, -1e9});
  const auto h = d.cast<float>().cast<half>();
  CHECK(h.data()[0].bits == 0x3C00);
  CHECK(h.data()[1].bits == 0x7BFF);
  CHECK(h.data()[2].bits == 0xFC00);
}

TEST_CASE("scalar names") {
  CHECK(std::string(scalar_name<half>()) == "half");
  CHECK(std::string(scalar_name<std::uint8_t>()) == "uint8");
  CHECK(std::string(scalar_name<std::int64_t>()) == "int64");
  static_assert(std::same_as<Wide<bfloat16>, float> && std::same_as<Wide<double>, double>);
  static_assert(!Scalar<bool> && !Floating<std::int32_t>);
}
