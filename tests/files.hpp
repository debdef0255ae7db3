// What tests of files need: a folder that goes away, the message of an error, the real data.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "errors.hpp"
#include "tenon/io/atomic_file.hpp"

namespace tenon::testing {

// A fresh folder, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tenon-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  auto entries() const {
    return std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator());
  }

  // Writes a file, making the folders above it.
  std::filesystem::path file(const std::filesystem::path& name, std::string_view bytes) const {
    const auto whole = path_ / name;
    std::filesystem::create_directories(whole.parent_path());
    io::write_file(whole, bytes);
    return whole;
  }

 private:
  std::filesystem::path path_;
};

// A folder of the real data sets, or nothing and a line that says so.
inline std::optional<std::filesystem::path> real_data(const char* test, const char* part) {
  const char* root = std::getenv("TENON_DATA");
  if (root && std::filesystem::exists(std::filesystem::path(root) / part))
    return std::filesystem::path(root) / part;
  std::printf("SKIPPED: %s: no %s in TENON_DATA\n", test, part);
  return {};
}

}  // namespace tenon::testing
