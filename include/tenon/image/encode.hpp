// Writing pictures: PNG (lossless, 8 or 16 bits a sample) and JPEG, to memory or atomically to a file; by
// stb_image_write (Barrett, public domain), compiled into a namespace of its own as static functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

// What the library includes, so that it finds these already included when it is read inside a namespace.
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenon/image/intact.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/tensor/tensor.hpp"

#pragma push_macro("INCLUDE_STB_IMAGE_WRITE_H")
#pragma push_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma push_macro("STBIWDEF")
#undef INCLUDE_STB_IMAGE_WRITE_H
#undef STB_IMAGE_WRITE_IMPLEMENTATION
#undef STBIWDEF
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
namespace tenon::image::stb {
using ::abs;  // tenon::abs, of tensors, would hide it
#include <stb/stb_image_write.h>
}  // namespace tenon::image::stb
#pragma GCC diagnostic pop

#undef STB_IMAGE_WRITE_IMPLEMENTATION
#undef STB_IMAGE_WRITE_STATIC
#undef STBI_WRITE_NO_STDIO
#undef INCLUDE_STB_IMAGE_WRITE_H
#undef STBIWDEF
// What the library itself leaves defined.
#undef stbiw__max
#undef stbiw__sbcount
#undef stbiw__sbfree
#undef stbiw__sbgrow
#undef stbiw__sbm
#undef stbiw__sbmaybegrow
#undef stbiw__sbn
#undef stbiw__sbneedgrow
#undef stbiw__sbpush
#undef stbiw__sbraw
#undef stbiw__wp32
#undef stbiw__wpng4
#undef stbiw__wptag
#undef stbiw__ZHASH
#undef stbiw__zlib_add
#undef stbiw__zlib_flush
#undef stbiw__zlib_huff
#undef stbiw__zlib_huff1
#undef stbiw__zlib_huff2
#undef stbiw__zlib_huff3
#undef stbiw__zlib_huff4
#undef stbiw__zlib_huffa
#undef stbiw__zlib_huffb
#undef STBIW_ASSERT
#undef STBIW_FREE
#undef STBIW_MALLOC
#undef STBIW_MEMMOVE
#undef STBIW_REALLOC
#undef STBIW_REALLOC_SIZED
#undef STBIW_UCHAR
#pragma pop_macro("STBIWDEF")
#pragma pop_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma pop_macro("INCLUDE_STB_IMAGE_WRITE_H")

namespace tenon::image {

namespace detail {

inline void append_bytes(void* out, void* data, int size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

struct Extents {
  int height, width, channels;
};

template <class T>
Extents encodable(const Tensor<T>& image, const char* who, Index most) {
  require<ShapeError>(image.rank() == 3 && image.size(2) >= 1 && image.size(2) <= 4 && image.numel() > 0, who,
                      ": shape ", image.shape(), ", expected (H,W,C) with 1 to 4 channels");
  require<ShapeError>(image.size(0) <= most && image.size(1) <= most, who, ": shape ", image.shape(),
                      ", at most ", most, " pixels a side");
  return {static_cast<int>(image.size(0)), static_cast<int>(image.size(1)), static_cast<int>(image.size(2))};
}

inline void append_big_endian(std::string& out, std::uint32_t value) {
  for (const unsigned shift : {24u, 16u, 8u, 0u}) out += static_cast<char>(value >> shift & 255u);
}

inline void append_png_chunk(std::string& out, const std::string& type, std::string_view data) {
  append_big_endian(out, static_cast<std::uint32_t>(data.size()));
  const std::string chunk = type + std::string(data);
  out += chunk;
  append_big_endian(out, png_crc(chunk));
}

}  // namespace detail

// image (H,W,C) -> the bytes of a PNG file.
inline std::string encode_png(const Tensor<std::uint8_t>& image) {
  const auto e = detail::encodable(image, "encode_png", 1 << 14);
  std::string bytes;
  const int ok = stb::stbi_write_png_to_func(detail::append_bytes, &bytes, e.width, e.height, e.channels,
                                             image.data(), e.width * e.channels);
  require<Error>(ok != 0, "encode_png: no memory for a picture of shape ", image.shape());
  return bytes;
}

// image (H,W,C), values 0 … 1 -> the bytes of a PNG file of 16 bits a sample. What lies outside is clamped,
// NaN becomes 0.
inline std::string encode_png16(const Tensor<float>& image) {
  const auto e = detail::encodable(image, "encode_png16", 1 << 14);
  require<ShapeError>(image.numel() < (Index{1} << 29), "encode_png16: shape ", image.shape(),
                      ", at most 2^29 numbers");
  // Each row: filter 1 (every byte less the one a pixel before), then its samples.
  const auto row = static_cast<std::size_t>(2 * e.width * e.channels),
             pixel = static_cast<std::size_t>(2 * e.channels);
  std::string rows;
  const float* from = image.data();
  for (int i = 0; i < e.height; ++i) {
    std::string samples;
    for (std::size_t k = 0; k < row; k += 2, ++from) {
      const auto v = static_cast<unsigned>(*from > 0 ? std::min(*from, 1.0f) * 65535 + 0.5f : 0.0f);
      samples += static_cast<char>(v >> 8);
      samples += static_cast<char>(v & 255u);
    }
    for (std::size_t k = row; k-- > pixel;)
      samples[k] = static_cast<char>(static_cast<unsigned char>(samples[k] - samples[k - pixel]));
    rows += '\1' + samples;
  }
  int size = 0;
  auto* const bytes = reinterpret_cast<unsigned char*>(rows.data());
  const std::unique_ptr<unsigned char, decltype(&std::free)> packed(
      stb::stbi_zlib_compress(bytes, static_cast<int>(rows.size()), &size, 8), &std::free);
  require<Error>(packed != nullptr, "encode_png16: no memory for a picture of shape ", image.shape());

  std::string header, file = "\x89PNG\r\n\x1A\n";
  detail::append_big_endian(header, static_cast<std::uint32_t>(e.width));
  detail::append_big_endian(header, static_cast<std::uint32_t>(e.height));
  header += '\x10';                      // bits
  header += "\0\4\2\6"[e.channels - 1];  // gray, with alpha, RGB, with alpha
  header += std::string(3, '\0');        // no choices, not interlaced
  detail::append_png_chunk(file, "IHDR", header);
  detail::append_png_chunk(file, "IDAT",
                           {reinterpret_cast<const char*>(packed.get()), static_cast<std::size_t>(size)});
  detail::append_png_chunk(file, "IEND", {});
  return file;
}

struct JpegOptions {
  int quality = 95;  // 1 … 100
};

// image (H,W,C) -> the bytes of a baseline JPEG file; an alpha channel is left out.
inline std::string encode_jpeg(const Tensor<std::uint8_t>& image, JpegOptions options = {}) {
  require<ValueError>(options.quality >= 1 && options.quality <= 100, "encode_jpeg: quality is ",
                      options.quality, ", expected 1 to 100");
  const auto e = detail::encodable(image, "encode_jpeg", 65535);
  std::string bytes;
  const int ok = stb::stbi_write_jpg_to_func(detail::append_bytes, &bytes, e.width, e.height, e.channels,
                                             image.data(), options.quality);
  require<Error>(ok != 0, "encode_jpeg: cannot encode a picture of shape ", image.shape());
  return bytes;
}

// Write a file, which appears complete or not at all. FileError if that is not possible.
inline void write_png(const std::filesystem::path& path, const Tensor<std::uint8_t>& image) {
  io::write_file(path, encode_png(image));
}
inline void write_png16(const std::filesystem::path& path, const Tensor<float>& image) {
  io::write_file(path, encode_png16(image));
}
inline void write_jpeg(const std::filesystem::path& path, const Tensor<std::uint8_t>& image,
                       JpegOptions options = {}) {
  io::write_file(path, encode_jpeg(image, options));
}

}  // namespace tenon::image
