// The pictures that the program is given.
#pragma once

#include <tenon/image/colour.hpp>
#include <tenon/image/decode.hpp>

#include "../common/program.hpp"

namespace programs {

namespace fs = std::filesystem;
using tenon::Index;
using tenon::Tensor;

struct Picture {
  std::string name;          // as the user gave it
  Tensor<std::uint8_t> rgb;  // (H,W,3), to draw on
  Tensor<float> gray;        // (H,W), values 0 … 1
};

// A name that is no file here is looked for in the folder `data`.
inline Picture read_picture(const std::string& name, const std::string& data) {
  using namespace tenon;
  fs::path path = name;
  if (!fs::exists(path) && !data.empty() && fs::exists(fs::path(data) / name)) path = fs::path(data) / name;
  const Tensor<float> pixels = image::read_float(path);  // all of 16 bits, where there are so many
  return {name, image::to_rgb(image::to_bytes(pixels)), image::to_gray(pixels)};
}

}  // namespace programs
