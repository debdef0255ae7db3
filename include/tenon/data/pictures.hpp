// Picture files: which of a folder's files are pictures, and decoding many of one size into one tensor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/core/threads.hpp"
#include "tenon/image/decode.hpp"

namespace tenon::data {

// By the ending: jpg, jpeg, png, bmp, ppm, pgm, in either case. Hidden files are none.
inline bool is_picture_name(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (name.empty() || name[0] == '.') return false;
  std::string ending = path.extension().string();
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const char* known : {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm"}) {
    if (ending == known) return true;
  }
  return false;
}

// The entries of a folder that are not hidden, by name. FileError if it cannot be read or holds a link to
// nothing.
inline std::vector<std::filesystem::path> list_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  require<FileError>(!error, folder.string(), ": cannot open the folder: ", error.message());
  std::vector<fs::path> paths;
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path path = entries->path();
    if (path.filename().string().starts_with('.')) continue;
    require<FileError>(fs::exists(path, error), path.string(), ": a link to nothing");
    paths.push_back(path);
  }
  require<FileError>(!error, folder.string(), ": cannot read the folder: ", error.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The picture files of one folder, by name; none is an error.
inline std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& path : list_folder(folder)) {
    if (is_picture_name(path) && std::filesystem::is_regular_file(path)) paths.push_back(path);
  }
  require<FileError>(!paths.empty(), folder.string(), ": no pictures (jpg, jpeg, png, bmp, ppm, pgm)");
  return paths;
}

// Decodes pictures of one size, on all threads -> (N,H,W,C). `channels` is 1 or 3. FileError names a
// file that cannot be decoded, or has another size than the first one.
inline Tensor<std::uint8_t> read_pictures(const std::vector<std::filesystem::path>& paths, int channels) {
  require<ValueError>(!paths.empty(), "read_pictures: no files");
  const image::Image first = image::read(paths[0], {.channels = channels});
  const auto count = static_cast<Index>(paths.size());
  Tensor<std::uint8_t> images({count, first.size(0), first.size(1), first.size(2)});
  parallel_ranges(count, 64, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const auto& path = paths[static_cast<std::size_t>(i)];
      const image::Image picture = image::read(path, {.channels = channels});
      require<FileError>(picture.shape() == first.shape(), path.string(), ": ", picture.size(1), "×",
                         picture.size(0), " pixels, but ", paths[0].string(), " has ", first.size(1), "×",
                         first.size(0), "; pictures of one set must have one size");
      images[i].copy_(picture);
    }
  });
  return images;
}

}  // namespace tenon::data
