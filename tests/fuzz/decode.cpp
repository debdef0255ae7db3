// Fuzzes the picture decoders: whatever the bytes, a picture or a FileError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tenon/image/decode.hpp"

namespace {

void decode_any(std::string_view bytes) {
  for (const int channels : {0, 1, 3}) {
    try {
      const auto picture =
          tenon::image::decode(bytes, "input", {.channels = channels, .max_pixels = 1 << 20});
      if (picture.rank() != 3 || picture.numel() == 0) std::abort();
      if (channels != 0 && picture.size(2) != channels) std::abort();
      if (channels == 1) continue;
      const auto floats =
          tenon::image::decode_float(bytes, "input", {.channels = channels, .max_pixels = 1 << 20});
      if (floats.shape() != picture.shape()) std::abort();
      for (const float v : floats.span()) {
        if (!(v >= 0 && v <= 1)) std::abort();
      }
    } catch (const tenon::FileError&) {}
  }
}

// The checks before decoding stop nearly every mutation: mend what they look at, so that the decoders see the
// rest.
void mend(std::string& bytes) {
  if (bytes.starts_with("\xFF\xD8")) bytes += "\xFF\xD9";
  if (!bytes.starts_with("\x89PNG")) return;
  const auto big_endian = [](std::size_t value) {
    std::string out;
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 255u);
    return out;
  };
  bytes.replace(0, 8, "\x89PNG\r\n\x1A\n");
  std::size_t at = 8;
  while (bytes.size() >= at + 12) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    if (length > bytes.size() - at - 12) bytes.replace(at, 4, big_endian(length = bytes.size() - at - 12));
    const std::string_view chunk = std::string_view(bytes).substr(at + 4, length + 4);
    bytes.replace(at + 8 + length, 4, big_endian(tenon::image::detail::png_crc(chunk)));
    at += 12 + length;
  }
  bytes.resize(at);
  bytes += std::string(4, '\0') + "IEND" + big_endian(tenon::image::detail::png_crc("IEND"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  decode_any(bytes);
  mend(bytes);
  decode_any(bytes);
  return 0;
}
