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

// JPEG: an end-of-image marker follows the first scan. The segments before it are stepped over by their
// length, because a thumbnail inside one of them has an end marker too. Returns the reason, empty if intact.
inline std::string jpeg_problem(std::string_view bytes) {
  for (std::size_t at = 2; at + 4 <= bytes.size();) {
    const std::size_t marker = byte_at(bytes, at + 1);
    if (byte_at(bytes, at) != 0xFF || marker == 0xFF) {
      ++at;  // padding between segments
    } else if (marker == 0xDA) {
      return bytes.find("\xFF\xD9", at) == bytes.npos ? ends_early : "";
    } else if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD9)) {
      at += 2;  // these have no length
    } else {
      at += 2 + byte_at(bytes, at + 2) * 256 + byte_at(bytes, at + 3);
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

// PNG: chunks up to IEND, those needed for decoding known and with the right CRC-32 (PNG specification, annex
// D).
inline std::string png_problem(std::string_view bytes) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1u) ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
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
      std::uint32_t crc = 0xFFFFFFFFu;
      for (const char c : bytes.substr(at + 4, length + 4)) {
        crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFFu] ^ (crc >> 8);
      }
      if ((crc ^ 0xFFFFFFFFu) != big_endian(at + 8 + length)) {
        return text("damaged PNG (wrong checksum of chunk ", type, " at byte ", at, ")");
      }
    }
    if (type == "IEND") return "";
    at += 12 + length;
  }
}

}  // namespace tenon::image::detail
