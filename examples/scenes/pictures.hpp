// Where the scenes come from: a folder with train/<class>/ and test/<class>/, or textures made up on the
// spot.
#pragma once

#include <tenon/data/image_folder.hpp>
#include <tenon/image/colour.hpp>
#include <tenon/image/resize.hpp>

#include <cstdlib>

#include "../common/program.hpp"
#include "synthetic.hpp"

namespace programs {

namespace fs = std::filesystem;
using tenon::Index;
using tenon::Tensor;

struct ScenePart {
  std::vector<Tensor<std::uint8_t>> pictures;  // gray, (H,W,1) each
  Tensor<std::int32_t> labels;                 // (n)
  std::vector<std::string> names;

  Index size() const { return labels.numel(); }
  // (H,W), values 0 … 1
  Tensor<float> gray(Index i) const { return tenon::image::to_gray(pictures[static_cast<std::size_t>(i)]); }
};

struct Scenes {
  ScenePart train, test;
  std::vector<std::string> classes;
  std::string origin;  // a path, or "synthetic"
};

// Photographs beyond this many pixels a side are scaled down when they are read.
inline constexpr Index longest_side = 640;

namespace detail {

inline Tensor<std::uint8_t> read_gray(const fs::path& path) {
  using namespace tenon;
  const image::Image x = image::read(path, {.channels = 1});
  const Index longest = std::max(x.size(0), x.size(1));
  if (longest <= longest_side) return x;
  const auto scaled = [&](Index side) { return std::max<Index>(1, side * longest_side / longest); };
  return image::resize(
      x, {.height = scaled(x.size(0)), .width = scaled(x.size(1)), .filter = image::Filter::bilinear});
}

// The classes must be those of `expected`, unless that is empty.
inline ScenePart read_part(const fs::path& folder, std::vector<std::string>& expected) {
  using namespace tenon;
  data::ImageList list = data::list_image_folder(folder, {.channels = 1});
  if (expected.empty()) expected = list.classes;
  require<FileError>(list.classes == expected, folder.string(), ": ", list.classes.size(),
                     " classes that are not the ", expected.size(), " of train/");
  ScenePart part;
  part.pictures.resize(list.paths.size());
  part.labels = Tensor<std::int32_t>({list.size()}, list.labels);
  parallel_for(list.size(), [&](Index i) {
    part.pictures[static_cast<std::size_t>(i)] = read_gray(list.paths[static_cast<std::size_t>(i)]);
  });
  for (const auto& path : list.paths) part.names.push_back(path.lexically_relative(folder).string());
  return part;
}

inline ScenePart synthetic_part(Index per_class, std::uint64_t seed) {
  ScenePart part;
  part.pictures = synthetic_scenes(per_class, seed);
  const auto count = static_cast<Index>(part.pictures.size());
  part.labels = Tensor<std::int32_t>({count});
  for (Index i = 0; i < count; ++i) {
    part.labels.data()[i] = static_cast<std::int32_t>(i / per_class);
    part.names.push_back(tenon::text("synthetic#", i));
  }
  return part;
}

}  // namespace detail

inline Scenes load_scenes(const CommonOptions& common) {
  using namespace tenon;
  std::string root = common.data;
  if (root.empty()) {
    if (const char* known = std::getenv("TENON_DATA")) root = known;
  }
  if (!common.data.empty()) require<FileError>(fs::is_directory(root), root, ": not a folder");
  for (const fs::path& folder : {fs::path(root) / "scenes15", fs::path(root)}) {
    if (root.empty() || !fs::is_directory(folder / "train") || !fs::is_directory(folder / "test")) continue;
    Scenes scenes;
    scenes.train = detail::read_part(folder / "train", scenes.classes);
    scenes.test = detail::read_part(folder / "test", scenes.classes);
    require<FileError>(scenes.classes.size() >= 2, folder.string(), ": one class, expected at least 2");
    scenes.origin = folder.string();
    return scenes;
  }
  require<FileError>(common.data.empty(), root,
                     ": holds neither scenes15/ nor train/<class>/ and test/<class>/");
  return {detail::synthetic_part(30, 1),
          detail::synthetic_part(30, 2),
          {texture_classes.begin(), texture_classes.end()},
          "synthetic"};
}

}  // namespace programs
