// Which way up a photograph is: the orientation that a camera stores beside the pixels (Exif 2.32, tag
// 0x0112), and turning the pixels by it.
//
// The file is hostile: every offset is checked against the segment it points into, and what does not parse
// counts as upright, as it does for other readers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "tenon/image/intact.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

namespace detail {

// Unsigned numbers of a TIFF block in its byte order; `ok` turns false at the first one outside the block.
struct TiffReader {
  std::string_view block;
  bool big_endian = false;
  bool ok = true;

  std::size_t number(std::size_t at, std::size_t bytes) {
    if (at > block.size() || bytes > block.size() - at) {
      ok = false;
      return 0;
    }
    std::size_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      const std::size_t place = at + (big_endian ? i : bytes - 1 - i);
      value = value << 8 | static_cast<unsigned char>(block[place]);
    }
    return value;
  }
};

// The orientation in a TIFF block, 1 if it has none: the first directory, entries of 12 bytes (tag, type,
// count, value), the value being one unsigned short.
inline int tiff_orientation(std::string_view block) {
  TiffReader tiff{block};
  if (block.starts_with("MM"))
    tiff.big_endian = true;
  else if (!block.starts_with("II"))
    return 1;
  if (tiff.number(2, 2) != 42) return 1;
  const std::size_t directory = tiff.number(4, 4), entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries && tiff.ok; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (tiff.number(entry, 2) != 0x0112) continue;
    const bool one_short = tiff.number(entry + 2, 2) == 3 && tiff.number(entry + 4, 4) == 1;
    const std::size_t value = tiff.number(entry + 8, 2);
    return tiff.ok && one_short && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace detail

namespace detail {

// The TIFF block of a JPEG: that of the first Exif segment before the first scan. Empty if there is none.
inline std::string_view jpeg_exif(std::string_view bytes) {
  for (std::size_t at = 2; at + 4 <= bytes.size() && byte_at(bytes, at) == 0xFF;) {
    const std::size_t marker = byte_at(bytes, at + 1);
    if (marker == 0xFF) {  // padding
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    const std::size_t length = byte_at(bytes, at + 2) << 8 | byte_at(bytes, at + 3);
    if (length < 2 || length > bytes.size() - at - 2) break;
    const std::string_view segment = bytes.substr(at + 4, length - 2);
    constexpr std::string_view exif("Exif\0\0", 6);
    if (marker == 0xE1 && segment.starts_with(exif)) return segment.substr(exif.size());
    at += 2 + length;
  }
  return {};
}

// The TIFF block of a PNG: its chunk eXIf, if the checksum is right. Empty if there is none.
inline std::string_view png_exif(std::string_view bytes) {
  TiffReader file{.block = bytes, .big_endian = true};
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t length = file.number(at, 4);
    if (length > bytes.size() - at - 12) break;
    const std::string_view chunk = bytes.substr(at + 4, length + 4);
    if (chunk.starts_with("eXIf"))
      return png_crc(chunk) == file.number(at + 8 + length, 4) ? chunk.substr(4) : std::string_view();
    at += 12 + length;
  }
  return {};
}

}  // namespace detail

// The orientation that a JPEG or PNG file held in memory states: 1 (upright) … 8, 1 where there is none.
inline int exif_orientation(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8")) return detail::tiff_orientation(detail::jpeg_exif(bytes));
  if (bytes.starts_with("\x89PNG")) return detail::tiff_orientation(detail::png_exif(bytes));
  return 1;
}

// x (H,W,C) as stored -> the picture as it was meant: (H,W,C), or (W,H,C) for orientations 5 … 8, which lie
// on their side. ValueError unless orientation is 1 … 8; 1 returns x itself.
template <class T>
Tensor<T> turned_upright(const Tensor<T>& x, int orientation) {
  require<ShapeError>(x.rank() == 3, "turned_upright: shape ", x.shape(), ", expected (H,W,C)");
  require<ValueError>(orientation >= 1 && orientation <= 8, "turned_upright: orientation is ", orientation,
                      ", expected 1 to 8");
  if (orientation == 1) return x;
  const Index height = x.size(0), width = x.size(1), channels = x.size(2);
  const bool transposed = orientation >= 5;
  // Whether the upright picture is read from the stored one right to left, and bottom to top.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Tensor<T> y({transposed ? width : height, transposed ? height : width, channels});
  T* to = y.data();
  for (Index i = 0; i < y.size(0); ++i) {
    for (Index j = 0; j < y.size(1); ++j, to += channels) {
      const Index row = transposed ? j : i, column = transposed ? i : j;
      const Index source_row = from_bottom ? height - 1 - row : row;
      const Index source_column = from_right ? width - 1 - column : column;
      std::copy_n(x.data() + (source_row * width + source_column) * channels, channels, to);
    }
  }
  return y;
}

}  // namespace tenon::image
