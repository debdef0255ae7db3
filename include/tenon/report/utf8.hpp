// Text for pictures and pages: UTF-8 made valid, and shortened. Class names come from folders and files,
// which may hold any bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tenon/core/text.hpp"

namespace tenon::report {

namespace detail {

// The length of the well-formed UTF-8 sequence that opens `s` (Unicode 15, table 3-7), 0 if there is none.
inline std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool outside = (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF4 && byte(1) > 0x8F);
  return overlong || outside ? 0 : length;
}

}  // namespace detail

// The same text with each malformed byte as U+FFFD and each control character, but for those in `keep`, as a
// space.
inline std::string valid_utf8(std::string_view s, std::string_view keep = {}) {
  std::string out;
  while (!s.empty()) {
    const std::size_t length = detail::utf8_length(s);
    const auto lead = static_cast<unsigned char>(s.front());
    if (length == 0) {
      out += "\uFFFD";
    } else if (length == 1 && (lead < 0x20 || lead == 0x7F) && keep.find(s.front()) == keep.npos) {
      out += ' ';
    } else {
      out += s.substr(0, length);
    }
    s.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

// At most `limit` characters; a longer text ends in an ellipsis. Valid UTF-8 comes out.
inline std::string shortened(std::string_view s, std::size_t limit) {
  const std::string whole = valid_utf8(s);
  std::size_t count = 0, cut = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if ((static_cast<unsigned char>(whole[i]) & 0xC0u) == 0x80u) continue;
    if (count + 1 == limit) cut = i;
    ++count;
  }
  return count <= limit ? whole : whole.substr(0, cut) + "…";
}

}  // namespace tenon::report
