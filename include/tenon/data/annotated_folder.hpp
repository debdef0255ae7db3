// A folder of pictures beside an annotations.json: {"filenames": [...], "labels": [...]}, labels in the order
// of the names, or an empty list where there are none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/data/dataset.hpp"
#include "tenon/data/pictures.hpp"
#include "tenon/io/json.hpp"

namespace tenon::data {

struct AnnotatedFolderOptions {
  Index classes = 0;                          // labels must be below; 0: as many as the largest label says
  int channels = 3;                           // 1 or 3
  std::vector<std::string> class_names = {};  // "0", "1", … if empty
};

namespace detail {

inline constexpr Index most_classes = 1'000'000;

// A name that stays inside the folder: relative, without "..".
inline bool stays_inside(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || name.find('\0') != name.npos || path.is_absolute()) return false;
  return std::none_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
}

inline const io::Json& json_list(const io::Json& json, const char* key, const std::string& where) {
  require<FileError>(json.is_object() && json.contains(key) && json[key].is_array(), where, ": no list \"",
                     key, "\"");
  return json[key];
}

}  // namespace detail

// Decodes all pictures, which must have one size, on all threads. FileError names the file and what is wrong.
inline ImageDataset read_annotated_folder(const std::filesystem::path& folder,
                                          AnnotatedFolderOptions options = {}) {
  const auto annotations = folder / "annotations.json";
  const std::string where = annotations.string();
  const io::Json json = io::read_json(annotations);
  const io::Json& names = detail::json_list(json, "filenames", where);
  const io::Json& labels = detail::json_list(json, "labels", where);
  require<FileError>(!names.empty(), where, ": no filenames");
  require<FileError>(labels.empty() || labels.size() == names.size(), where, ": ", labels.size(),
                     " labels for ", names.size(), " filenames");
  if (!options.class_names.empty()) options.classes = static_cast<Index>(options.class_names.size());

  ImageDataset set;
  std::vector<std::filesystem::path> paths;
  Index classes = options.classes;
  for (std::size_t i = 0; i < names.size(); ++i) {
    require<FileError>(names[i].is_string(), where, ": filename ", i, " is not a string");
    set.names.push_back(names[i].get<std::string>());
    require<FileError>(detail::stays_inside(set.names[i]), where, ": filename ", i, " ", names[i].dump(),
                       " leaves the folder");
    paths.push_back(folder / set.names[i]);
    if (labels.empty()) {
      set.labels.push_back(-1);
      continue;
    }
    const Index most = options.classes > 0 ? options.classes : detail::most_classes;
    require<FileError>(labels[i].is_number_integer() && labels[i] >= 0 && labels[i] < most, where,
                       ": label of '", set.names[i], "' is ", labels[i].dump().substr(0, 24),
                       ", expected 0 to ", most - 1);
    set.labels.push_back(labels[i].get<std::int32_t>());
    classes = std::max<Index>(classes, set.labels[i] + 1);
  }
  set.classes = options.class_names;
  for (Index c = static_cast<Index>(set.classes.size()); c < classes; ++c) set.classes.push_back(text(c));
  set.images = read_pictures(paths, options.channels);
  return set;
}

}  // namespace tenon::data
