// results.json: what a program was asked, what it measured and what that cost, for other programs to read.
#pragma once

#include <filesystem>
#include <string>

#include "tenon/core/shape.hpp"
#include "tenon/io/json.hpp"

namespace tenon::report {

struct Results {
  std::string program = {};
  io::Json config = io::Json::object();   // the options, as they took effect
  io::Json metrics = io::Json::object();  // NaN is stored as null
  double seconds = 0;                     // wall-clock time of the run
  Index peak_bytes = 0;                   // the most memory the tensors took at once
};

inline io::Json to_json(const Results& r) {
  return {{"program", r.program},
          {"config", r.config},
          {"metrics", r.metrics},
          {"seconds", r.seconds},
          {"peak_bytes", r.peak_bytes}};
}

// Writes the file, atomically. FileError if it cannot be written.
inline void save(const Results& results, const std::filesystem::path& path) {
  io::write_json(path, to_json(results));
}

}  // namespace tenon::report
