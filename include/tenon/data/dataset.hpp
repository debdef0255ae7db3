// Labelled pictures of one size, held in memory: what the readers of this folder return.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::data {

// What a loader needs of a data set: image(i) is (H,W,C), label(i) is -1 where there is none.
template <class D>
concept ImageSource = requires(const D& d, Index i) {
  { d.size() } -> std::convertible_to<Index>;
  { d.image(i) } -> std::convertible_to<Tensor<std::uint8_t>>;
  { d.label(i) } -> std::convertible_to<std::int32_t>;
};

// Which part of a published data set.
enum class Split { train, test };

struct ImageDataset {
  Tensor<std::uint8_t> images;       // (N,H,W,C)
  std::vector<std::int32_t> labels;  // N; -1: no label
  std::vector<std::string> classes;  // name of each label
  std::vector<std::string> names;    // N files or records, for messages and result lists

  Index size() const { return static_cast<Index>(labels.size()); }
  Index class_count() const { return static_cast<Index>(classes.size()); }

  // (H,W,C), sharing the elements.
  Tensor<std::uint8_t> image(Index i) const { return images[i]; }
  std::int32_t label(Index i) const { return labels[static_cast<std::size_t>(i)]; }
  const std::string& name(Index i) const { return names[static_cast<std::size_t>(i)]; }
};

// How many pictures each class has.
inline std::vector<Index> class_sizes(const ImageDataset& set) {
  std::vector<Index> sizes(set.classes.size());
  for (const std::int32_t label : set.labels) {
    if (label >= 0) ++sizes[static_cast<std::size_t>(label)];
  }
  return sizes;
}

struct ValidateOptions {
  bool every_class = false;  // a class without a picture is an error
  bool labelled = false;     // a picture without a label is an error
};

// Checks that the parts fit together; `what` (a path, usually) opens the message of the FileError.
inline void validate(const ImageDataset& set, std::string_view what, ValidateOptions options = {}) {
  require<FileError>(set.images.rank() == 4 && set.images.size(0) == set.size(), what, ": pictures of shape ",
                     set.images.shape(), " for ", set.size(), " labels, expected (N,H,W,C)");
  require<FileError>(set.names.size() == set.labels.size(), what, ": ", set.names.size(), " names for ",
                     set.size(), " labels");
  require<FileError>(set.size() > 0, what, ": no pictures");
  for (Index i = 0; i < set.size(); ++i) {
    const std::int32_t label = set.label(i);
    require<FileError>(label >= -1 && label < set.class_count(), what, ": ", set.name(i), ": label ", label,
                       ", expected 0 to ", set.class_count() - 1);
    require<FileError>(label >= 0 || !options.labelled, what, ": ", set.name(i), ": no label");
  }
  if (!options.every_class) return;
  const auto sizes = class_sizes(set);
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    require<FileError>(sizes[c] > 0, what, ": class '", set.classes[c], "' has no picture");
  }
}

// The pictures at the given positions, in that order, with elements of their own.
inline ImageDataset subset(const ImageDataset& set, const std::vector<Index>& positions) {
  Shape shape = set.images.shape();
  shape.set(0, static_cast<Index>(positions.size()));
  ImageDataset out{Tensor<std::uint8_t>(shape), {}, set.classes, {}};
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const Index from = positions[i];
    require<ValueError>(from >= 0 && from < set.size(), "subset: position ", from, " in a set of ",
                        set.size());
    out.images[static_cast<Index>(i)].copy_(set.images[from]);
    out.labels.push_back(set.label(from));
    out.names.push_back(set.name(from));
  }
  return out;
}

}  // namespace tenon::data
