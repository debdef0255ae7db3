// Reading pictures: JPEG (baseline and progressive), PNG, BMP and PNM to 8-bit pixels.
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

#include "tenon/image/intact.hpp"
#include "tenon/image/pnm.hpp"
#include "tenon/image/stb_decoder.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::image {

using Image = Tensor<std::uint8_t>;  // (H,W,C), C: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha

struct DecodeOptions {
  int channels = 0;               // 1 gray, 3 RGB; 0 keeps what the file stores, alpha too
  Index max_pixels = 64'000'000;  // H·W beyond this is an error
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
inline Image with_channels(const Image& x, int channels) {
  const Index stored = x.size(2);
  if (channels == 0 || channels == stored) return x;
  Image y({x.size(0), x.size(1), channels});
  const std::uint8_t* from = x.data();
  std::uint8_t* to = y.data();
  for (Index i = 0; i < x.size(0) * x.size(1); ++i, from += stored, to += channels) {
    if (stored >= 3 && channels == 1) {
      *to = static_cast<std::uint8_t>((77 * from[0] + 150 * from[1] + 29 * from[2]) >> 8);
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

}  // namespace detail

// Decodes a picture held in memory; `name` (a path, usually) opens the message of a FileError. 16-bit samples
// keep their upper 8 bits.
inline Image decode(std::string_view bytes, std::string_view name, DecodeOptions options = {}) {
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
    detail::PnmReader reader(bytes, name);
    check_size(reader.width(), reader.height());
    return detail::with_channels(reader.pixels(), options.channels);
  }

  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  const auto damaged = [&] {
    const char* reason = stb::stbi_failure_reason();
    const char* kind = format == Format::jpeg ? "JPEG" : format == Format::png ? "PNG" : "BMP";
    refuse("damaged ", kind, " (", reason && *reason ? reason : "malformed header", ")");
  };

  detail::Header h;
  std::string problem;
  if (format == Format::jpeg) problem = detail::jpeg_problem(bytes);
  if (format == Format::png) problem = detail::png_problem(bytes);
  if (!problem.empty()) refuse(problem);
  {
    const detail::DecoderMemory memory(std::size_t{1} << 20);
    if (!detail::read_header(format, data, size, h)) damaged();
  }
  check_size(h.width, h.height);
  const auto width = static_cast<std::size_t>(h.width), height = static_cast<std::size_t>(h.height);
  if (format == Format::bmp) problem = detail::bmp_problem(bytes, width, height);
  if (!problem.empty()) refuse(problem);

  // The most that a decoder needs: 16-bit coefficients and samples of four channels, in whole blocks, about
  // twice.
  const std::size_t blocks = (width + 64) * (height + 64);
  const detail::DecoderMemory memory((std::size_t{1} << 20) + 4 * bytes.size() + 32 * blocks);
  const auto* pixels = stb::stbi_load_from_memory(data, size, &h.width, &h.height, &h.channels, 0);
  if (!pixels) damaged();
  Image image({h.height, h.width, h.channels});
  std::copy_n(pixels, image.numel(), image.data());
  return detail::with_channels(image, options.channels);
}

// Reads a picture from a file. FileError names the file and says what is wrong with it.
inline Image read(const std::filesystem::path& path, DecodeOptions options = {}) {
  return decode(io::read_file(path), path.string(), options);
}

}  // namespace tenon::image
