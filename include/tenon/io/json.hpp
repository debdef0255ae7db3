// JSON (RFC 8259): bounded parsing with errors that name the file, and atomic writing. The only header that
// includes the JSON library.
//
// Keys are kept sorted, so the same content is always the same text. A key that appears twice in a file keeps
// its last value. JSON has no NaN and no infinity: both are written as null.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tenon/io/atomic_file.hpp"

namespace tenon::io {

using Json = nlohmann::json;

struct JsonLimits {
  std::size_t max_bytes = std::size_t{256} << 20;
  int max_depth = 128;  // levels of nested arrays and objects
};

namespace detail {

// Fails at the bracket that opens one level too many. Brackets inside strings do not count.
inline void check_json_depth(std::string_view source, std::string_view name, int max_depth) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      require<FileError>(++depth <= max_depth, name, ": byte ", i, ": JSON nested more than ", max_depth,
                         " levels deep");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

// The library's message without its tag and position, as one line of bounded length.
inline std::string json_reason(std::string_view message) {
  if (const auto tag = message.find("] "); tag != message.npos) message.remove_prefix(tag + 2);
  if (message.starts_with("parse error at ")) {
    if (const auto colon = message.find(": "); colon != message.npos) message.remove_prefix(colon + 2);
  }
  std::string line(message.substr(0, 160));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line;
}

}  // namespace detail

// Parses JSON text; `name` (a path, usually) opens the message. FileError if it is malformed, too long or
// nested too deeply.
inline Json parse_json(std::string_view source, std::string_view name, JsonLimits limits = {}) {
  require<FileError>(source.size() <= limits.max_bytes, name, ": ", source.size(), " bytes of JSON, at most ",
                     limits.max_bytes, " are accepted");
  detail::check_json_depth(source, name, limits.max_depth);
  try {
    return Json::parse(source.begin(), source.end());
  } catch (const Json::parse_error& error) {
    const std::size_t byte = error.byte > 0 ? error.byte - 1 : 0;  // the library counts from 1
    fail<FileError>(name, ": byte ", byte, ": not valid JSON: ", detail::json_reason(error.what()));
  } catch (const Json::exception& error) {  // a number beyond double; the reason quotes it
    fail<FileError>(name, ": not valid JSON: ", detail::json_reason(error.what()));
  }
}

inline Json read_json(const std::filesystem::path& path, JsonLimits limits = {}) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

// JSON as text, two spaces a level. Bytes that are not UTF-8 (a file name may hold any) become U+FFFD.
inline std::string json_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

inline void write_json(const std::filesystem::path& path, const Json& json) {
  write_file(path, json_text(json));
}

}  // namespace tenon::io
