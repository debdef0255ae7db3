// Scalar types: which element types tensors take, and the two 16-bit floating-point formats.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <string>

#include "tenon/core/text.hpp"

namespace tenon {

// bfloat16: the upper half of a float (8 exponent bits, 7 stored bits of significand).
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  constexpr explicit(false) bfloat16(float value) : bits(round(std::bit_cast<std::uint32_t>(value))) {}
  constexpr explicit(false) operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  constexpr bfloat16& operator+=(float more) { return *this = *this + more; }

 private:
  static constexpr std::uint16_t round(std::uint32_t f) {
    if ((f & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((f >> 16) | 0x40u);  // stay a NaN
    return static_cast<std::uint16_t>((f + 0x7FFFu + ((f >> 16) & 1u)) >> 16);  // to nearest, ties to even
  }
};

// half: IEEE 754 binary16 (5 exponent bits, 10 stored bits of significand).
struct half {
  std::uint16_t bits = 0;

  half() = default;
  constexpr explicit(false) half(float value) : bits(narrow(value)) {}
  constexpr explicit(false) operator float() const { return widen(bits); }
  constexpr half& operator+=(float more) { return *this = *this + more; }

 private:
  static constexpr std::uint16_t narrow(float value) {
    const auto f = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (f >> 16) & 0x8000u, magnitude = f & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);   // NaN
    if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // 65536 and up: infinity
    if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
    }
    const std::uint32_t rebiased = magnitude - 0x38000000u;  // exponent bias 127 to 15
    return static_cast<std::uint16_t>(sign | ((rebiased + 0xFFFu + ((rebiased >> 13) & 1u)) >> 13));
  }

  static constexpr float widen(std::uint16_t h) {
    const std::uint32_t sign = (h & 0x8000u) << 16u, magnitude = h & 0x7FFFu;
    if (magnitude >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
    if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
};

template <class T>
concept Floating = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, half> ||
                   std::same_as<T, bfloat16>;

template <class T>
concept Scalar = Floating<T> || std::same_as<T, std::uint8_t> || std::same_as<T, std::int32_t> ||
                 std::same_as<T, std::int64_t>;

// The type in which values of T are summed and transformed: float for the 16-bit formats, T otherwise.
template <class T>
struct Wider { using type = T; };
template <>
struct Wider<half> { using type = float; };
template <>
struct Wider<bfloat16> { using type = float; };
template <class T>
using Wide = typename Wider<T>::type;

// The name of T in messages and tables.
template <Scalar T>
constexpr const char* scalar_name() {
  if constexpr (std::same_as<T, float>) return "float";
  else if constexpr (std::same_as<T, double>) return "double";
  else if constexpr (std::same_as<T, half>) return "half";
  else if constexpr (std::same_as<T, bfloat16>) return "bfloat16";
  else if constexpr (std::same_as<T, std::uint8_t>) return "uint8";
  else if constexpr (std::same_as<T, std::int32_t>) return "int32";
  else return "int64";
}

}  // namespace tenon
