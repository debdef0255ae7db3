// Reading photographs the right way up, whatever way the camera was held.
#pragma once

#include <filesystem>
#include <string_view>

#include "tenon/image/decode.hpp"
#include "tenon/image/orientation.hpp"

namespace tenon::image {

// As decode and read, with the pixels turned as the file's Exif orientation says.
inline Image decode_upright(std::string_view bytes, std::string_view name, DecodeOptions options = {}) {
  return turned_upright(decode(bytes, name, options), exif_orientation(bytes));
}
inline Image read_upright(const std::filesystem::path& path, DecodeOptions options = {}) {
  return decode_upright(io::read_file(path), path.string(), options);
}

}  // namespace tenon::image
