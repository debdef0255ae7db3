// Whether a picture file is all there. The decoders fill in what is missing; a picture whose lower half is
// gray is not what its owner meant, so a file that ends early or fails its checksum is refused before
// decoding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tenon/core/text.hpp"

namespace tenon::image::detail {

inline std::size_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

inline constexpr const char* ends_early = "the file ends before the picture does";

// The Huffman tables of a JPEG segment at `at` (after its length field) of `length` bytes: each states the
// counts of codes of 1 … 16 bits, 256 codes at most. The decoder has room for no more and does not check.
inline bool huffman_tables_fit(std::string_view bytes, std::size_t at, std::size_t length) {
  for (std::size_t end = at + length; at < end;) {
    std::size_t codes = 0;
    for (std::size_t i = at + 1; i < at + 17 && i < bytes.size(); ++i) codes += byte_at(bytes, i);
    if (codes > 256) return false;
    at += 17 + codes;
  }
  return true;
}

// JPEG: segments follow each other up to an end-of-image marker. Those with a length are stepped over by it,
// since a thumbnail inside one has markers of its own; in the scans between, 0xFF starts a marker unless a 0
// follows. Returns the reason why not, empty if intact.
inline std::string jpeg_problem(std::string_view bytes) {
  for (std::size_t at = 2; at + 2 <= bytes.size();) {
    const std::size_t marker = byte_at(bytes, at + 1);
    if (byte_at(bytes, at) != 0xFF || marker == 0xFF) {
      ++at;  // scan data, or padding
    } else if (marker == 0xD9) {
      return "";
    } else if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
      at += 2;  // these have no length
    } else {
      if (at + 4 > bytes.size()) return ends_early;
      const std::size_t length = byte_at(bytes, at + 2) * 256 + byte_at(bytes, at + 3);
      if (length < 2) return text("damaged JPEG (a segment of length ", length, " at byte ", at, ")");
      if (marker == 0xC4 && !huffman_tables_fit(bytes, at + 4, length - 2)) {
        return text("damaged JPEG (a Huffman table of more than 256 codes at byte ", at, ")");
      }
      at += 2 + length;
    }
  }
  return ends_early;
}

// BMP: the rows of `width` pixels are all in the file. The oldest headers (12 bytes) are laid out
// differently.
inline std::string bmp_problem(std::string_view bytes, std::size_t width, std::size_t height) {
  const auto little_endian = [&](std::size_t at, std::size_t count) {
    std::size_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | byte_at(bytes, at + i);
    return value;
  };
  if (bytes.size() < 30) return ends_early;
  const std::size_t offset = little_endian(10, 4);
  const std::size_t bits = little_endian(little_endian(14, 4) == 12 ? 24 : 28, 2);
  const std::size_t row = (width * bits + 31) / 32 * 4;
  return offset <= bytes.size() && row * height <= bytes.size() - offset ? "" : ends_early;
}

// CRC-32 as PNG computes it over a chunk's type and data (PNG specification, annex D).
inline std::uint32_t png_crc(std::string_view bytes) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1u) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFFu] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFu;
}

// PNG: chunks up to IEND, those needed for decoding known and with the right checksum.
inline std::string png_problem(std::string_view bytes) {
  const auto big_endian = [&](std::size_t at) {
    return byte_at(bytes, at) << 24 | byte_at(bytes, at + 1) << 16 | byte_at(bytes, at + 2) << 8 |
           byte_at(bytes, at + 3);
  };
  if (!bytes.starts_with("\x89PNG\r\n\x1A\n")) return "damaged PNG (its first 8 bytes are not a PNG's)";
  for (std::size_t at = 8;;) {
    if (bytes.size() - at < 12) return ends_early;
    const std::size_t length = big_endian(at);
    if (length > bytes.size() - at - 12) return ends_early;
    const std::string_view type = bytes.substr(at + 4, 4);
    if ((byte_at(type, 0) & 0x20u) == 0) {  // critical: a decoder must understand it
      if (type != "IHDR" && type != "PLTE" && type != "IDAT" && type != "IEND") {
        return text("damaged PNG (unknown chunk at byte ", at, ")");
      }
      if (png_crc(bytes.substr(at + 4, length + 4)) != big_endian(at + 8 + length)) {
        return text("damaged PNG (wrong checksum of chunk ", type, " at byte ", at, ")");
      }
    }
    if (type == "IEND") return "";
    at += 12 + length;
  }
}

}  // namespace tenon::image::detail
