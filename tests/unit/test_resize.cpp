// Resizing against Pillow, byte for byte, and turning photographs upright.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "files.hpp"
#include "resize_golden.hpp"
#include "tenon/image/colour.hpp"
#include "tenon/image/decode.hpp"
#include "tenon/image/encode.hpp"
#include "tenon/image/resize.hpp"

using namespace tenon;
using image::Filter;
using testing::contains, testing::error_text;

namespace {

// The picture of resize_golden.py.
Tensor<std::uint8_t> source(Index channels) {
  Tensor<std::uint8_t> x({11, 13, channels});
  for (Index i = 0; i < x.numel(); ++i) x.data()[i] = static_cast<std::uint8_t>((i * i * 7 + i * 31) % 256);
  return x;
}

// A block of Exif data in the given byte order, with one entry.
std::string exif(bool big_endian, unsigned tag, unsigned value, unsigned entries = 1, unsigned offset = 8) {
  const auto number = [&](unsigned v, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) {
      const int shift = 8 * (big_endian ? bytes - 1 - i : i);
      out += static_cast<char>(v >> shift & 255u);
    }
    return out;
  };
  return std::string("Exif\0\0", 6) + (big_endian ? "MM" : "II") + number(42, 2) + number(offset, 4) +
         number(entries, 2) + number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + number(0, 2) +
         number(0, 4);
}

// A JPEG with that block in front.
std::string with_exif(const std::string& jpeg, const std::string& block) {
  const std::size_t length = block.size() + 2;
  return jpeg.substr(0, 2) + "\xFF\xE1" + static_cast<char>(length >> 8) + static_cast<char>(length & 255u) +
         block + jpeg.substr(2);
}

// A PNG file with that TIFF block in a chunk after its header.
std::string with_exif_chunk(const std::string& png, const std::string& block) {
  std::string chunk;
  image::detail::append_png_chunk(chunk, "eXIf", block);
  return png.substr(0, 33) + chunk + png.substr(33);
}

std::vector<std::uint8_t> turned(int orientation) {
  const Tensor<std::uint8_t> x({2, 3, 1}, {1, 2, 3, 4, 5, 6});
  return image::turned_upright(x, orientation).to_vector();
}

}  // namespace

TEST_CASE("resize: bytes are Pillow's") {
  for (const auto& golden : testing::resize_golden_bytes) {
    const auto y = image::resize(
        source(golden.channels),
        {.height = golden.height, .width = golden.width, .filter = static_cast<Filter>(golden.filter)});
    CHECK(y.shape() == Shape{golden.height, golden.width, golden.channels});
    CHECK_MESSAGE(y.to_vector() == golden.pixels, "filter ", golden.filter, " to ", golden.height, "×",
                  golden.width);
  }
}

TEST_CASE("resize: floats are Pillow's") {
  const auto bytes = source(1).reshape({11, 13});
  Tensor<float> x({11, 13});
  for (Index i = 0; i < x.numel(); ++i) x.data()[i] = static_cast<float>(bytes.data()[i]) / 255;
  for (const auto& golden : testing::resize_golden_floats) {
    const auto y = image::resize(
        x, {.height = golden.height, .width = golden.width, .filter = static_cast<Filter>(golden.filter)});
    REQUIRE(y.numel() == static_cast<Index>(golden.pixels.size()));
    for (Index i = 0; i < y.numel(); ++i) {
      CHECK(!(std::abs(y.data()[i] - golden.pixels[static_cast<std::size_t>(i)]) > 1e-6f));
    }
  }
}

TEST_CASE("resize: a constant picture stays constant, the same size copies") {
  for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic, Filter::area}) {
    const auto x = Tensor<std::uint8_t>::full({9, 7, 3}, 137);
    for (const auto& [height, width] : {std::pair<Index, Index>{1, 1}, {30, 5}, {4, 40}}) {
      const auto y = image::resize(x, {.height = height, .width = width, .filter = filter});
      for (const std::uint8_t v : y.span()) CHECK(v == 137);
    }
    auto same = image::resize(x, {.height = 9, .width = 7, .filter = filter});
    same.fill_(0);
    CHECK(x.data()[0] == 137);
    const auto dot =
        image::resize(Tensor<std::uint8_t>({1, 1, 1}, {200}), {.height = 5, .width = 6, .filter = filter});
    for (const std::uint8_t v : dot.span()) CHECK(v == 200);
  }
}

TEST_CASE("resize: sizes are checked before memory is taken") {
  const auto x = source(3);
  CHECK(contains(error_text<ValueError>([&] { image::resize(x, {.height = 0, .width = 4}); }),
                 "to 4×0 pixels"));
  CHECK(contains(error_text<ValueError>([&] { image::resize(x, {.height = 4, .width = -1}); }),
                 "to -1×4 pixels"));
  CHECK(contains(error_text<ValueError>([&] { image::resize(x, {.height = 1 << 20, .width = 1 << 20}); }),
                 "more than the limit"));
  CHECK(contains(error_text<ValueError>([&] { image::resize(x, {.height = 1, .width = 1 << 30}); }),
                 "more than the limit"));
  CHECK(contains(
      error_text<ShapeError>([&] { image::resize(Tensor<float>::zeros({4}), {.height = 2, .width = 2}); }),
      "(H,W)"));
  CHECK(contains(error_text<ShapeError>([&] {
                   image::resize(Tensor<float>::zeros({0, 4}), {.height = 2, .width = 2});
                 }),
                 "with pixels"));
}

TEST_CASE("orientation: each of the eight is turned upright") {
  using Pixels = std::vector<std::uint8_t>;
  CHECK(turned(1) == Pixels{1, 2, 3, 4, 5, 6});
  CHECK(turned(2) == Pixels{3, 2, 1, 6, 5, 4});
  CHECK(turned(3) == Pixels{6, 5, 4, 3, 2, 1});
  CHECK(turned(4) == Pixels{4, 5, 6, 1, 2, 3});
  CHECK(turned(5) == Pixels{1, 4, 2, 5, 3, 6});
  CHECK(turned(6) == Pixels{4, 1, 5, 2, 6, 3});
  CHECK(turned(7) == Pixels{6, 3, 5, 2, 4, 1});
  CHECK(turned(8) == Pixels{3, 6, 2, 5, 1, 4});
  CHECK(image::turned_upright(Tensor<std::uint8_t>({2, 3, 1}), 6).shape() == Shape{3, 2, 1});
  CHECK(contains(error_text<ValueError>([] { turned(9); }), "orientation is 9"));
}

TEST_CASE("orientation: each of the eight is honoured when a JPEG or PNG is read") {
  // Upright: a picture of three flat tiles, which JPEG keeps: red on the left, then green above blue.
  Tensor<std::uint8_t> upright({32, 48, 3});
  for (Index i = 0; i < 32; ++i) {
    for (Index j = 0; j < 48; ++j) upright.at({i, j, j < 16 ? 0 : i < 16 ? 1 : 2}) = 200;
  }
  const auto difference = [&](const Tensor<std::uint8_t>& x) {
    REQUIRE(x.shape() == upright.shape());
    int most = 0;  // JPEG blurs the edges of tiles; elsewhere they differ by 200
    for (Index i = 0; i < x.numel(); ++i) most = std::max(most, std::abs(x.data()[i] - upright.data()[i]));
    return most;
  };
  const testing::ScratchFolder folder;
  for (unsigned value = 1; value <= 8; ++value) {
    // Orientations 6 and 8 undo each other; the others undo themselves.
    const auto stored = image::turned_upright(upright, value == 6   ? 8
                                                       : value == 8 ? 6
                                                                    : static_cast<int>(value));
    for (const bool big_endian : {false, true}) {
      const std::string block = exif(big_endian, 0x0112, value);
      const std::string jpeg = with_exif(image::encode_jpeg(stored), block);
      const std::string png = with_exif_chunk(image::encode_png(stored), block.substr(6));
      CHECK(image::exif_orientation(jpeg) == static_cast<int>(value));
      CHECK(image::exif_orientation(png) == static_cast<int>(value));
      CHECK(difference(image::decode(jpeg, "x")) <= 30);
      CHECK(difference(image::decode(png, "x")) == 0);
      CHECK(image::decode(jpeg, "x", {.upright = false}).shape() == stored.shape());
      CHECK(image::decode(png, "x", {.upright = false}).to_vector() == stored.to_vector());
      CHECK(image::to_bytes(image::decode_float(png, "x")).to_vector() == upright.to_vector());
      CHECK(image::decode(png, "x", {.channels = 1}).shape() == Shape{32, 48, 1});
    }
    const auto path =
        folder.file("turned.jpg", with_exif(image::encode_jpeg(stored), exif(true, 0x0112, value)));
    CHECK(difference(image::read(path)) <= 30);
  }
  std::string wrong = with_exif_chunk(image::encode_png(upright), exif(true, 0x0112, 6).substr(6));
  wrong[33 + 8 + 4] = 'x';  // inside the chunk, whose checksum is then wrong
  CHECK(image::exif_orientation(wrong) == 1);
}

TEST_CASE("orientation: what does not parse counts as upright") {
  const std::string jpeg = image::encode_jpeg(Tensor<std::uint8_t>::full({8, 8, 1}, 90));
  for (const std::string& block :
       {exif(true, 0x0112, 0), exif(true, 0x0112, 9), exif(true, 0x0113, 6),
        exif(true, 0x0112, 6, 1, 0xFFFFFFF0u), exif(true, 0x0112, 6, 1, 40), exif(false, 0x0112, 6, 1, 0),
        std::string("Exif\0\0MM", 8), std::string("Exif\0\0", 6), std::string("Exif\0\0XX\0\x2A", 10)}) {
    CHECK(image::exif_orientation(with_exif(jpeg, block)) == 1);
  }
  const std::string png = image::encode_png(Tensor<std::uint8_t>::full({8, 8, 1}, 90));
  for (const unsigned value : {0u, 9u, 65535u}) {
    const std::string block = exif(true, 0x0112, value);
    CHECK(image::decode(with_exif(jpeg, block), "x", {.channels = 1}).shape() == Shape{8, 8, 1});
    CHECK(image::exif_orientation(with_exif_chunk(png, block.substr(6))) == 1);
  }
  CHECK(image::exif_orientation(with_exif_chunk(png, "")) == 1);
  CHECK(image::exif_orientation(with_exif_chunk(png, "MM")) == 1);
  const std::string packed = with_exif_chunk(png, exif(false, 0x0112, 5).substr(6));
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const int found = image::exif_orientation(std::string_view(packed).substr(0, size));
    CHECK((found == 1 || found == 5));
  }
  const std::string whole = with_exif(jpeg, exif(true, 0x0112, 6));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const int found = image::exif_orientation(std::string_view(whole).substr(0, size));
    CHECK((found == 1 || found == 6));
  }
  CHECK(image::exif_orientation(with_exif(jpeg, exif(true, 0x0113, 6, 60000))) == 1);
  CHECK(image::exif_orientation("") == 1);
  CHECK(image::exif_orientation("\x89PNG") == 1);
}
