// A folder a class: <root>/<class>/*.{jpg,jpeg,png,bmp,ppm,pgm}. The label of a class is its place by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/data/dataset.hpp"
#include "tenon/data/pictures.hpp"

namespace tenon::data {

// Picture files with labels. Sizes may differ: a picture is decoded each time it is asked for.
struct ImageList {
  std::vector<std::filesystem::path> paths;
  std::vector<std::int32_t> labels;
  std::vector<std::string> classes;
  int channels = 3;

  Index size() const { return static_cast<Index>(paths.size()); }
  Index class_count() const { return static_cast<Index>(classes.size()); }
  image::Image image(Index i) const {  // (H,W,channels)
    return image::read(paths[static_cast<std::size_t>(i)], {.channels = channels});
  }
  std::int32_t label(Index i) const { return labels[static_cast<std::size_t>(i)]; }
  std::string name(Index i) const { return paths[static_cast<std::size_t>(i)].string(); }
};

struct ImageFolderOptions {
  int channels = 3;  // 1 or 3
};

// The files and labels alone. FileError for a folder that is missing, has no classes, or a class without a
// picture.
inline ImageList list_image_folder(const std::filesystem::path& root, ImageFolderOptions options = {}) {
  ImageList list;
  list.channels = options.channels;
  for (const auto& folder : list_folder(root)) {
    if (!std::filesystem::is_directory(folder)) continue;
    const auto label = static_cast<std::int32_t>(list.classes.size());
    for (const auto& path : list_pictures(folder)) {
      list.paths.push_back(path);
      list.labels.push_back(label);
    }
    list.classes.push_back(folder.filename().string());
  }
  require<FileError>(!list.classes.empty(), root.string(), ": no classes; expected a folder for each");
  return list;
}

// Everything in memory; the pictures must have one size. Names are relative to the root.
inline ImageDataset read_image_folder(const std::filesystem::path& root, ImageFolderOptions options = {}) {
  ImageList list = list_image_folder(root, options);
  ImageDataset set{
      read_pictures(list.paths, options.channels), std::move(list.labels), std::move(list.classes), {}};
  for (const auto& path : list.paths) set.names.push_back(path.lexically_relative(root).string());
  return set;
}

}  // namespace tenon::data
