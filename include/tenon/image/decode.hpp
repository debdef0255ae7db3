// Reading pictures: JPEG (baseline and progressive), PNG, BMP and PNM, to bytes, or to floats that keep all
// of 16-bit samples. Photographs come the right way up.
//
//   image::Image picture = image::read("cat.jpg", {.channels = 3});   // (H,W,3), RGB
//
// The file is hostile: its size in pixels is checked before anything is allocated for them, the decoder's
// memory is bounded, and a file that ends early is an error.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "tenon/image/intact.hpp"
#include "tenon/image/orientation.hpp"
#include "tenon/image/pnm.hpp"
#include "tenon/image/stb_decoder.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

using Image = Tensor<std::uint8_t>;  // (H,W,C), C: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha

struct DecodeOptions {
  int channels = 0;               // 1 gray, 3 RGB; 0 keeps what the file stores, alpha too
  Index max_pixels = 64'000'000;  // H·W beyond this is an error
  bool upright = true;            // turn the pixels as the file's Exif orientation says
};

enum class Format { unknown, jpeg, png, bmp, pnm };

// By the first bytes; the file's name plays no part.
inline Format format_of(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8")) return Format::jpeg;
  if (bytes.starts_with("\x89PNG")) return Format::png;
  if (bytes.starts_with("BM")) return Format::bmp;
  const bool pnm = bytes.size() > 2 && bytes[0] == 'P' &&
                   (bytes[1] == '2' || bytes[1] == '3' || bytes[1] == '5' || bytes[1] == '6');
  return pnm ? Format::pnm : Format::unknown;
}

namespace detail {

// (H,W,C) with C 1 … 4 -> (H,W,1) or (H,W,3). Gray is (77 R + 150 G + 29 B) / 256; alpha is left out.
template <class T>
Tensor<T> with_channels(const Tensor<T>& x, int channels) {
  const Index stored = x.size(2);
  if (channels == 0 || channels == stored) return x;
  const auto gray = [](const T* rgb) {
    const auto sum = 77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2];
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(sum >> 8);
    else
      return sum / 256;
  };
  Tensor<T> y({x.size(0), x.size(1), channels});
  const T* from = x.data();
  T* to = y.data();
  for (Index i = 0; i < x.size(0) * x.size(1); ++i, from += stored, to += channels) {
    if (stored >= 3 && channels == 1) {
      *to = gray(from);
    } else {
      for (Index c = 0; c < channels; ++c) to[c] = from[stored >= 3 ? c : 0];
    }
  }
  return y;
}

struct Header {
  int width = 0, height = 0, channels = 0;
};

// What the header states, or false with the decoder's reason set.
inline bool read_header(Format format, const unsigned char* data, int size, Header& h) {
  stb::stbi__context s;
  stb::stbi__start_mem(&s, data, size);
  int* const width = &h.width;
  if (format == Format::jpeg) return stb::stbi__jpeg_info(&s, width, &h.height, &h.channels) != 0;
  if (format == Format::png) return stb::stbi__png_info(&s, width, &h.height, &h.channels) != 0;
  if (stb::stbi__bmp_info(&s, width, &h.height, &h.channels) == 0) return false;
  if (h.height < 0 && h.height > std::numeric_limits<int>::min())
    h.height = -h.height;  // stored from the top
  return true;
}

// The samples of a JPEG, PNG or BMP as the decoder gives them, in its memory; null if it cannot, with its
// reason set. Bytes keep the upper 8 of 16 bits, floats all of them.
template <class T>
const auto* load_samples(const unsigned char* data, int size, Header& h) {
  if constexpr (std::is_same_v<T, float>)
    return stb::stbi_load_16_from_memory(data, size, &h.width, &h.height, &h.channels, 0);
  else
    return stb::stbi_load_from_memory(data, size, &h.width, &h.height, &h.channels, 0);
}

// T is std::uint8_t, or float for samples 0 … 1. As stored, not turned.
template <class T>
Tensor<T> decode_as(std::string_view bytes, std::string_view name, const DecodeOptions& options) {
  require<ValueError>(options.channels == 0 || options.channels == 1 || options.channels == 3,
                      "decode: channels is ", options.channels, ", expected 1, 3 or 0 (as stored)");
  const auto refuse = [&](const auto&... reason) {
    fail<FileError>("cannot decode ", name, ": ", reason...);
  };
  const auto check_size = [&](Index width, Index height) {
    if (width <= 0 || height <= 0) refuse("its size is ", width, "×", height, " pixels");
    if (width > options.max_pixels / height) {
      refuse(width, "×", height, " pixels, more than the limit of ", options.max_pixels);
    }
  };

  if (bytes.empty()) refuse("the file is empty");
  const Format format = format_of(bytes);
  if (format == Format::unknown) refuse("not a JPEG, PNG, BMP or PNM file");
  if (bytes.size() > (std::size_t{1} << 30)) refuse(bytes.size(), " bytes, more than 2^30");
  if (format == Format::pnm) {
    PnmReader reader(bytes, name);
    check_size(reader.width(), reader.height());
    return with_channels(reader.pixels<T>(), options.channels);
  }

  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  const auto damaged = [&] {
    const char* reason = stb::stbi_failure_reason();
    const char* kind = format == Format::jpeg ? "JPEG" : format == Format::png ? "PNG" : "BMP";
    refuse("damaged ", kind, " (", reason && *reason ? reason : "malformed header", ")");
  };

  Header h;
  std::string problem;
  if (format == Format::jpeg) problem = jpeg_problem(bytes);
  if (format == Format::png) problem = png_problem(bytes);
  if (!problem.empty()) refuse(problem);
  {
    const DecoderMemory memory(std::size_t{1} << 20);
    if (!read_header(format, data, size, h)) damaged();
  }
  check_size(h.width, h.height);
  const auto width = static_cast<std::size_t>(h.width), height = static_cast<std::size_t>(h.height);
  if (format == Format::bmp) problem = bmp_problem(bytes, width, height);
  if (!problem.empty()) refuse(problem);

  // The most that a decoder needs: 16-bit coefficients and samples of four channels, in whole blocks, about
  // twice.
  const std::size_t blocks = (width + 64) * (height + 64);
  const DecoderMemory memory((std::size_t{1} << 20) + 4 * bytes.size() + 32 * blocks);
  const auto* samples = load_samples<T>(data, size, h);
  if (!samples) damaged();
  Tensor<T> picture({h.height, h.width, h.channels});
  std::transform(samples, samples + picture.numel(), picture.data(), [](auto v) {
    if constexpr (std::is_same_v<T, float>)
      return static_cast<float>(v) / 65535;
    else
      return v;
  });
  return with_channels(picture, options.channels);
}

template <class T>
Tensor<T> decode_turned(std::string_view bytes, std::string_view name, const DecodeOptions& options) {
  const Tensor<T> picture = decode_as<T>(bytes, name, options);
  return options.upright ? turned_upright(picture, exif_orientation(bytes)) : picture;
}

}  // namespace detail

// Decodes a picture held in memory; `name` (a path, usually) opens the message of a FileError. 16-bit samples
// keep their upper 8 bits.
inline Image decode(std::string_view bytes, std::string_view name, DecodeOptions options = {}) {
  return detail::decode_turned<std::uint8_t>(bytes, name, options);
}
// The same as floats 0 … 1, which keep all 16 bits.
inline Tensor<float> decode_float(std::string_view bytes, std::string_view name, DecodeOptions options = {}) {
  return detail::decode_turned<float>(bytes, name, options);
}

// Read a picture from a file. FileError names the file and says what is wrong with it.
inline Image read(const std::filesystem::path& path, DecodeOptions options = {}) {
  return decode(io::read_file(path), path.string(), options);
}
inline Tensor<float> read_float(const std::filesystem::path& path, DecodeOptions options = {}) {
  return decode_float(io::read_file(path), path.string(), options);
}

}  // namespace tenon::image
