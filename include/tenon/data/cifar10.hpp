// CIFAR-10 (Krizhevsky 2009) in its binary form: records of a label byte and 3072 pixel bytes, all red, then
// all green, then all blue, each 32×32 row by row.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tenon/core/threads.hpp"
#include "tenon/data/dataset.hpp"
#include "tenon/io/atomic_file.hpp"

namespace tenon::data {

inline constexpr std::array<const char*, 10> cifar10_classes = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

namespace detail {

inline constexpr Index cifar10_side = 32, cifar10_plane = 32 * 32, cifar10_record = 1 + 3 * cifar10_plane;

// The pixels of one record, plane by plane -> (32,32,3).
inline void interleave_planes(const char* planes, std::uint8_t* pixels) {
  for (Index i = 0; i < cifar10_plane; ++i) {
    for (Index c = 0; c < 3; ++c)
      pixels[3 * i + c] = static_cast<std::uint8_t>(planes[c * cifar10_plane + i]);
  }
}

// Lines of a text file that are not empty.
inline std::vector<std::string> text_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : io::read_file(path, 1 << 20) + '\n') {
    if (c == '\n') {
      if (!line.empty()) lines.push_back(line);
      line.clear();
    } else if (c != '\r') {
      line += c;
    }
  }
  return lines;
}

}  // namespace detail

// The records of files held in memory, in order; a file may hold any number of them. Images (N,32,32,3).
// FileError opens with the file's name and, where a label is above 9, tells the record.
inline ImageDataset parse_cifar10(const std::vector<std::string>& files,
                                  const std::vector<std::string>& names) {
  require<ValueError>(!files.empty() && files.size() == names.size(), "parse_cifar10: ", files.size(),
                      " files with ", names.size(), " names");
  ImageDataset set;
  set.classes.assign(cifar10_classes.begin(), cifar10_classes.end());
  Index count = 0;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const auto size = static_cast<Index>(files[f].size());
    require<FileError>(size > 0 && size % detail::cifar10_record == 0, names[f], ": ", size,
                       " bytes, not a multiple of ", detail::cifar10_record, "-byte records");
    count += size / detail::cifar10_record;
  }
  set.images = Tensor<std::uint8_t>({count, detail::cifar10_side, detail::cifar10_side, 3});
  std::uint8_t* pixels = set.images.data();
  for (std::size_t f = 0; f < files.size(); ++f) {
    const Index records = static_cast<Index>(files[f].size()) / detail::cifar10_record;
    const std::string short_name = std::filesystem::path(names[f]).filename().string();
    for (Index r = 0; r < records; ++r) {
      const int label =
          static_cast<unsigned char>(files[f][static_cast<std::size_t>(r * detail::cifar10_record)]);
      require<FileError>(label <= 9, names[f], ": record ", r, " (byte ", r * detail::cifar10_record,
                         "): label ", label, ", expected 0 to 9");
      set.labels.push_back(label);
      set.names.push_back(text(short_name, "#", r));
    }
    parallel_ranges(records, 1000, [&](Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        detail::interleave_planes(files[f].data() + r * detail::cifar10_record + 1,
                                  pixels + r * 3 * detail::cifar10_plane);
      }
    });
    pixels += records * 3 * detail::cifar10_plane;
  }
  return set;
}

inline ImageDataset read_cifar10_files(const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> files, names;
  for (const auto& path : paths) {
    files.push_back(io::read_file(path));
    names.push_back(path.string());
  }
  return parse_cifar10(files, names);
}

// The folder of the official archive: those of data_batch_1.bin … data_batch_5.bin that are there, or
// test_batch.bin; class names from batches.meta.txt if it is there.
inline ImageDataset read_cifar10(const std::filesystem::path& folder, Split split) {
  std::vector<std::filesystem::path> paths;
  if (split == Split::test) {
    paths.push_back(folder / "test_batch.bin");
  } else {
    for (int i = 1; i <= 5; ++i) {
      const auto path = folder / text("data_batch_", i, ".bin");
      if (std::filesystem::exists(path)) paths.push_back(path);
    }
    require<FileError>(!paths.empty(), folder.string(), ": no data_batch_1.bin to data_batch_5.bin");
  }
  ImageDataset set = read_cifar10_files(paths);
  if (const auto meta = folder / "batches.meta.txt"; std::filesystem::exists(meta)) {
    set.classes = detail::text_lines(meta);
    require<FileError>(set.classes.size() == 10, meta.string(), ": ", set.classes.size(),
                       " class names, expected 10");
  }
  return set;
}

}  // namespace tenon::data
