// Where the pictures come from: a CIFAR-10-mini folder, the binary CIFAR-10 files, or the built-in synthetic set.
#pragma once

#include <tenon/data/annotated_folder.hpp>
#include <tenon/data/cifar10.hpp>
#include <tenon/data/synthetic.hpp>

#include <cstdlib>

#include "../common/program.hpp"

namespace programs {

struct Pictures {
  tenon::data::ImageDataset train, val;
  std::string origin;  // a path, or "synthetic"
};

namespace fs = std::filesystem;

// The folder of a data set in `root`, or `root` itself; empty if there is none.
inline fs::path find_pictures(const fs::path& root) {
  for (const fs::path& folder : {root, root / "cifar10_mini", root / "cifar-10-batches-bin"}) {
    if (fs::exists(folder / "train" / "annotations.json") || fs::exists(folder / "data_batch_1.bin")) return folder;
  }
  return {};
}

// FileError if the networks cannot be trained on these.
inline void check_pictures(const tenon::data::ImageDataset& set, const fs::path& folder,
                           tenon::data::ValidateOptions o) {
  using namespace tenon;
  data::validate(set, folder.string(), o);
  require<FileError>(set.images.size(1) == 32 && set.images.size(2) == 32, folder.string(), ": pictures of ",
                     set.images.size(2), "×", set.images.size(1), " pixels, expected 32×32");
}

inline Pictures load_pictures(const CommonOptions& common) {
  using namespace tenon;
  std::string root = common.data;
  if (root.empty()) {
    if (const char* known = std::getenv("TENON_DATA")) root = known;
  }
  if (!common.data.empty()) require<FileError>(fs::is_directory(root), root, ": not a folder");
  const fs::path folder = root.empty() ? fs::path() : find_pictures(root);
  if (folder.empty()) {
    require<FileError>(common.data.empty(), root, ": holds neither train/annotations.json (CIFAR-10-mini) nor ",
                       "data_batch_1.bin (CIFAR-10)");
    return {data::synthetic_shapes({.count = 4000, .seed = 1}), data::synthetic_shapes({.count = 1000, .seed = 2}),
            "synthetic"};
  }
  if (fs::exists(folder / "data_batch_1.bin")) {
    Pictures pictures{data::read_cifar10(folder, data::Split::train), data::read_cifar10(folder, data::Split::test),
                      folder.string()};
    data::validate(pictures.train, folder.string(), {.every_class = true, .labelled = true});
    return pictures;
  }
  data::AnnotatedFolderOptions options{.classes = 10,
                                       .class_names = {data::cifar10_classes.begin(), data::cifar10_classes.end()}};
  Pictures pictures{data::read_annotated_folder(folder / "train", options),
                    data::read_annotated_folder(folder / "val", options), folder.string()};
  check_pictures(pictures.train, folder / "train", {.every_class = true, .labelled = true});
  check_pictures(pictures.val, folder / "val", {.labelled = true});
  return pictures;
}

}  // namespace programs
