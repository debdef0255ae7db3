// MNIST (LeCun et al. 1998) and sets in its idx form: a big-endian header of a magic number and the counts,
// then bytes; plain or gzip-compressed, told apart by content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tenon/data/dataset.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/io/gzip.hpp"

namespace tenon::data {

// The bytes of an idx file of unsigned bytes -> a tensor of the shape it states. `name` opens the messages.
inline Tensor<std::uint8_t> parse_idx(std::string_view bytes, std::string_view name) {
  const auto big_endian = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  };
  require<FileError>(bytes.size() >= 4, name, ": ", bytes.size(), " bytes, too short for an idx file");
  const std::uint32_t magic = big_endian(0);
  const std::size_t rank = magic & 0xFFu;
  require<FileError>(magic >> 8 == 8 && rank >= 1 && rank <= 4, name, ": byte 0: magic number ", magic,
                     ", expected 0x0000080r, r the dimensions: not an idx file of bytes");
  require<FileError>(bytes.size() >= 4 + 4 * rank, name, ": the file ends within its header");
  const std::size_t have = bytes.size() - 4 - 4 * rank;
  std::size_t count = 1;
  Shape shape;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::size_t extent = big_endian(4 + 4 * d);
    require<FileError>(extent > 0 && extent <= have / count, name, ": byte ", 4 + 4 * d, ": extent ", extent,
                       " of dimension ", d, " does not fit the ", have, " bytes that follow");
    count *= extent;
    shape.push_back(static_cast<Index>(extent));
  }
  require<FileError>(count == have, name, ": ", have, " bytes of data for shape ", shape);
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data()) + 4 + 4 * rank;
  return Tensor<std::uint8_t>(shape, std::span(data, count));
}

inline Tensor<std::uint8_t> read_idx(const std::filesystem::path& path) {
  constexpr std::size_t limit = std::size_t{1} << 30;
  std::string bytes = io::read_file(path, limit);
  if (io::is_gzip(bytes)) bytes = io::gunzip(bytes, limit, path.string());
  return parse_idx(bytes, path.string());
}

// A pair of idx files -> images (N,H,W,1) and labels; the classes are named by their digits.
inline ImageDataset read_mnist_files(const std::filesystem::path& images,
                                     const std::filesystem::path& labels) {
  const auto pixels = read_idx(images), marks = read_idx(labels);
  require<FileError>(pixels.rank() == 3, images.string(), ": shape ", pixels.shape(), ", expected (N,H,W)");
  require<FileError>(marks.rank() == 1, labels.string(), ": shape ", marks.shape(), ", expected (N)");
  require<FileError>(marks.numel() == pixels.size(0), labels.string(), ": ", marks.numel(), " labels for ",
                     pixels.size(0), " pictures");
  ImageDataset set;
  set.images = pixels.reshape({pixels.size(0), pixels.size(1), pixels.size(2), 1});
  for (int c = 0; c < 10; ++c) set.classes.push_back(text(c));
  for (Index i = 0; i < marks.numel(); ++i) {
    const int label = marks.at({i});
    require<FileError>(label <= 9, labels.string(), ": record ", i, ": label ", label, ", expected 0 to 9");
    set.labels.push_back(label);
    set.names.push_back(text(images.filename().string(), "#", i));
  }
  return set;
}

// The folder of the official files, train-images-idx3-ubyte and its companions, each plain or with .gz.
inline ImageDataset read_mnist(const std::filesystem::path& folder, Split split) {
  const std::string part = split == Split::train ? "train" : "t10k";
  const auto find = [&](const std::string& name) {
    const auto plain = folder / name;
    return std::filesystem::exists(plain) ? plain : folder / (name + ".gz");
  };
  return read_mnist_files(find(part + "-images-idx3-ubyte"), find(part + "-labels-idx1-ubyte"));
}

}  // namespace tenon::data
