// Building one line of text from mixed parts, without iostreams: text("k = ", 3, ", rate = ", 0.5).
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace tenon {

inline void append_text(std::string& out, std::string_view part) { out += part; }
inline void append_text(std::string& out, char part) { out += part; }

// A template, so that a string literal does not decay into it.
template <std::same_as<bool> B>
void append_text(std::string& out, B part) {
  out += part ? "true" : "false";
}

// Numbers appear in the shortest form that reads back as the same value.
template <class N>
  requires((std::integral<N> || std::floating_point<N>) && !std::same_as<N, bool>)
void append_text(std::string& out, N number) {
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

// Joins its arguments. A type of your own takes part by an overload of append_text next to it.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

// A number with a fixed count of decimals, as tables and log lines print it: fixed(0.5, 4) is "0.5000".
inline std::string fixed(double number, int decimals) {
  char digits[400];  // the largest double has 309 digits before its point
  const auto end =
      std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed, decimals).ptr;
  return {digits, end};
}

}  // namespace tenon
