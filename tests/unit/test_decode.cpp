// Pictures: pixels known beforehand, round trips, sizes bounded before memory is taken, and broken files of
// every kind.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "files.hpp"
#include "tenon/core/random.hpp"
#include "tenon/image/decode.hpp"
#include "tenon/image/encode.hpp"
#include "tenon/io/gzip.hpp"

using namespace tenon;
using image::Image;
using testing::contains, testing::error_text;

namespace {

// A soft gradient with a bright box, so that JPEG has something to keep.
Image picture(Index height, Index width, Index channels) {
  Image x({height, width, channels});
  for (Index i = 0; i < height; ++i) {
    for (Index j = 0; j < width; ++j) {
      for (Index c = 0; c < channels; ++c) {
        const bool box = i > height / 3 && i < height / 2 && j > width / 3 && j < width / 2;
        x.at({i, j, c}) =
            static_cast<std::uint8_t>(box ? 220 : (40 * (c + 1) + 60 * i / height + 40 * j / width));
      }
    }
  }
  return x;
}

double mean_difference(const Image& a, const Image& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (Index i = 0; i < a.numel(); ++i) sum += std::abs(a.data()[i] - b.data()[i]);
  return sum / static_cast<double>(a.numel());
}

bool same(const Image& a, const Image& b) { return a.shape() == b.shape() && a.to_vector() == b.to_vector(); }

std::string number(std::uint32_t value) {  // little-endian
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 255u);
  return out;
}

// A BMP of 24 bits a pixel; height < 0 stores the rows from the top.
std::string bmp(int width, int height, const std::string& rows) {
  return "BM" + number(54 + static_cast<std::uint32_t>(rows.size())) + number(0) + number(54) + number(40) +
         number(static_cast<std::uint32_t>(width)) + number(static_cast<std::uint32_t>(height)) +
         std::string("\1\0\x18\0", 4) + std::string(24, '\0') + rows;
}

Image decode(const std::string& bytes, int channels = 0) {
  return image::decode(bytes, "x", {.channels = channels});
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_text([&] { decode(bytes); });
  CHECK(message.starts_with("cannot decode x: "));
  return message;
}

}  // namespace

TEST_CASE("png: what is written is read back exactly") {
  const testing::ScratchFolder folder;
  for (const Index channels : {1, 2, 3, 4}) {
    const Image x = picture(17, 23, channels);
    image::write_png(folder.path() / "x.png", x);
    CHECK(same(image::read(folder.path() / "x.png"), x));
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("png: 16 bits are kept as floats; as bytes the upper 8 are") {
  const testing::ScratchFolder folder;
  for (const Index channels : {1, 2, 3, 4}) {
    Tensor<float> x({9, 13, channels});
    for (Index i = 0; i < x.numel(); ++i) x.data()[i] = static_cast<float>((i * 40503 + 7) % 65536) / 65535;
    image::write_png16(folder.path() / "x.png", x);
    const Tensor<float> y = image::read_float(folder.path() / "x.png");
    const Image bytes = image::read(folder.path() / "x.png");
    REQUIRE(y.shape() == x.shape());
    REQUIRE(bytes.shape() == x.shape());
    CHECK(y.to_vector() == x.to_vector());
    for (Index i = 0; i < x.numel(); ++i) CHECK(bytes.data()[i] == ((i * 40503 + 7) % 65536) / 256);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string clamped = image::encode_png16(Tensor<float>({1, 3, 1}, {-1, 2, nan}));
  CHECK(image::decode_float(clamped, "x").to_vector() == std::vector<float>{0, 1, 0});
  CHECK(contains(error_text<ShapeError>([] {
                   image::encode_png16(Tensor<float>(Shape{4, 4}));
                 }),
                 "encode_png16"));
  const Tensor<float> rgb({1, 1, 3}, {1, 0.5f, 0});
  CHECK(image::decode_float(image::encode_png16(rgb), "x", {.channels = 1}).item() ==
        doctest::Approx(0.593754));
}

TEST_CASE("floats of files of 8 bits are their bytes over 255") {
  const Image x = picture(20, 30, 3);
  for (const std::string& file :
       {image::encode_png(x), image::encode_jpeg(x), bmp(1, 1, std::string("\1\2\3\0", 4))}) {
    const Image bytes = decode(file);
    const Tensor<float> floats = image::decode_float(file, "x");
    REQUIRE(floats.shape() == bytes.shape());
    for (Index i = 0; i < bytes.numel(); ++i)
      CHECK(floats.data()[i] == static_cast<float>(bytes.data()[i]) / 255);
  }
  CHECK(image::decode_float(std::string("P5 2 1 65535\n\xFF\xFF\x00\x01", 17), "x").to_vector() ==
        std::vector<float>{1, 1 / 65535.0f});
}

TEST_CASE("jpeg: what is written is read back nearly") {
  const testing::ScratchFolder folder;
  for (const Index channels : {1, 3}) {
    const Image x = picture(40, 56, channels);
    image::write_jpeg(folder.path() / "x.jpg", x, {.quality = 95});
    const Image y = image::read(folder.path() / "x.jpg", {.channels = static_cast<int>(channels)});
    CHECK(!(mean_difference(x, y) > 3));
    CHECK(image::encode_jpeg(x, {.quality = 20}).size() < image::encode_jpeg(x, {.quality = 95}).size());
  }
}

TEST_CASE("jpeg: progressive") {
  // A ramp of 24×20 gray pixels, 40 + 5·row + 3·column, by libjpeg at quality 95.
  const std::string_view digits =
      "ffd8ffe000104a46494600010100000100010000ffdb0043000201010101010201010102020202020403020202020504"
      "040304060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affc2000b080018"
      "001401011100ffc400160001010100000000000000000000000000060407ffda0008010100000001c1d8289d8289d828"
      "ffc4001810000301010000000000000000000000000004050322ffda00080101000105024a489493293c25244a49949e"
      "12922524ca4f1fffc4001510010100000000000000000000000000000032ffda0008010100063f0294a5294a5297ffc4"
      "00161001010100000000000000000000000000003121ffda0008010100013f219b373b366e766cdcefffda0008010100"
      "00001024ff00ffc40016100101010000000000000000000000000000f1e1ffda0008010100013f109c9cc427273109c9"
      "cc43ffd9";
  std::string jpeg;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    jpeg += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  const Image x = decode(jpeg);
  REQUIRE(x.shape() == Shape{24, 20, 1});
  for (Index i = 0; i < 24; ++i) {
    for (Index j = 0; j < 20; ++j) CHECK(std::abs(x.at({i, j, 0}) - (40 + 5 * i + 3 * j)) <= 2);
  }
  for (std::size_t size = 3; size < jpeg.size(); size += 7) refusal(jpeg.substr(0, size));
}

TEST_CASE("decode: channels are converted on request") {
  const Image rgb({1, 2, 3}, {255, 0, 0, 10, 20, 30});
  const std::string png = image::encode_png(rgb);
  CHECK(same(decode(png), rgb));
  CHECK(same(decode(png, 1), Image({1, 2, 1}, {76, 18})));
  const Image gray({1, 2, 1}, {7, 200});
  CHECK(same(decode(image::encode_png(gray), 3), Image({1, 2, 3}, {7, 7, 7, 200, 200, 200})));
  const Image rgba({1, 1, 4}, {1, 2, 3, 128});
  CHECK(same(decode(image::encode_png(rgba), 3), Image({1, 1, 3}, {1, 2, 3})));
  CHECK(contains(error_text<ValueError>([&] { decode(png, 2); }), "channels is 2"));
}

TEST_CASE("pnm: plain and binary, 8 and 16 bits, any maximum") {
  const Image gray({1, 3, 1}, {0, 128, 255}), rgb({1, 1, 3}, {1, 2, 3});
  CHECK(same(decode(std::string("P5 3 1 255\n\x00\x80\xFF", 14)), gray));
  CHECK(same(decode("P2\n# a comment\n3 1\n255\n0 128\n255\n"), gray));
  CHECK(same(decode(std::string("P6 1 1 255\n\1\2\3", 14)), rgb));
  CHECK(same(decode("P3 1 1 255 1 2 3"), rgb));
  CHECK(same(decode("P2 2 1 15 0 15"), Image({1, 2, 1}, {0, 255})));
  CHECK(same(decode(std::string("P5 2 1 65535\n\xFF\xFF\x80\x00", 17)), Image({1, 2, 1}, {255, 128})));
  CHECK(same(decode(std::string("P5 3 1 255\n\x00\x80\xFF", 14), 3).reshape({3, 3, 1}),
             Image({3, 3, 1}, {0, 0, 0, 128, 128, 128, 255, 255, 255})));
  CHECK(contains(refusal("P5 3 1 255\nab"), "the file ends before the picture does"));
  CHECK(contains(refusal("P5 3 1 255"), "the file ends before the picture does"));
  CHECK(contains(refusal("P5 3"), "the file ends before the picture does"));
  CHECK(contains(refusal("P2 2 1 255 7"), "the file ends before the picture does"));
  CHECK(contains(refusal("P2 x 1 255 7"), "no number at byte 3 for width"));
  CHECK(contains(refusal("P5 0 4 255\n"), "its size is 0×4 pixels"));
  CHECK(contains(refusal("P5 1 1 70000\nx"), "maximum is 70000"));
  CHECK(contains(refusal("P5 99999999999999999999 1 255\n"), "width at byte"));
  CHECK(contains(refusal("P5 2000000000 2000000000 255\n"), "more than the limit"));
}

TEST_CASE("bmp: rows from the bottom and from the top") {
  const std::string rows("\1\2\3\0\4\5\6\0", 8);  // blue, green, red and a byte of padding
  CHECK(same(decode(bmp(1, 2, rows)), Image({2, 1, 3}, {6, 5, 4, 3, 2, 1})));
  CHECK(same(decode(bmp(1, -2, rows)), Image({2, 1, 3}, {3, 2, 1, 6, 5, 4})));
  CHECK(contains(refusal(bmp(1, 2, rows.substr(0, 7))), "the file ends before the picture does"));
  CHECK(contains(refusal(bmp(1, std::numeric_limits<int>::min(), rows)), "cannot decode"));
}

TEST_CASE("decode: what is no picture is refused in plain words") {
  CHECK(refusal("") == "cannot decode x: the file is empty");
  CHECK(refusal("just text") == "cannot decode x: not a JPEG, PNG, BMP or PNM file");
  CHECK(contains(refusal("GIF89a..."), "not a JPEG, PNG, BMP or PNM file"));
  const testing::ScratchFolder folder;
  const auto path = folder.file("x.jpg", "notes");
  CHECK(error_text([&] { image::read(path); }) ==
        "cannot decode " + path.string() + ": not a JPEG, PNG, BMP or PNM file");
  CHECK(contains(error_text([&] { image::read(folder.path() / "none.jpg"); }), "none.jpg"));
}

TEST_CASE("decode: a file cut anywhere is refused, never half a picture") {
  const Image x = picture(24, 24, 3);
  for (const std::string& whole : {image::encode_png(x), image::encode_jpeg(x)}) {
    CHECK(decode(whole).shape() == x.shape());
    for (std::size_t size = 0; size < whole.size(); size += 1 + size / 40) {
      CHECK(contains(refusal(whole.substr(0, size)), size < 3 ? "cannot decode" : " "));
    }
    CHECK(contains(refusal(whole.substr(0, whole.size() - 1)), "the file ends before the picture does"));
  }
}

TEST_CASE("png: an empty chunk of pixels before the others is no damage, alone it is") {
  const Image x = picture(24, 24, 3);
  const std::string png = image::encode_png(x);
  std::string empty, end;
  image::detail::append_png_chunk(empty, "IDAT", "");
  image::detail::append_png_chunk(end, "IEND", "");
  CHECK(same(decode(png.substr(0, 33) + empty + png.substr(33)), x));
  CHECK(contains(refusal(png.substr(0, 33) + empty + end), "damaged PNG"));
}

TEST_CASE("decode: damage is noticed") {
  std::string png = image::encode_png(picture(24, 24, 3));
  png[60] = static_cast<char>(png[60] ^ 1);
  CHECK(contains(refusal(png), "wrong checksum of chunk IDAT"));
  std::string table(4 + 17, '\xFF');  // a Huffman table that claims 16 × 255 codes
  table.replace(0, 5, std::string("\xFF\xC4\x00\x13\x00", 5));
  CHECK(
      contains(refusal("\xFF\xD8" + table + "\xFF\xD9"), "a Huffman table of more than 256 codes at byte 2"));
}

TEST_CASE("decode: the size is checked before memory is taken") {
  const std::string png = image::encode_png(picture(20, 30, 1));
  CHECK(image::decode(png, "x", {.max_pixels = 600}).numel() == 600);
  CHECK(contains(error_text([&] { image::decode(png, "x", {.max_pixels = 599}); }),
                 "30×20 pixels, more than the limit of 599"));
  std::string huge = png;  // the header's size alone, with its checksum
  huge.replace(16, 8, std::string("\0\0\x40\0\0\0\x40\0", 8));
  const std::uint32_t crc = image::detail::png_crc(std::string_view(huge).substr(12, 17));
  for (std::size_t i = 0; i < 4; ++i) huge[29 + i] = static_cast<char>(crc >> (24 - 8 * i) & 255u);
  CHECK(contains(refusal(huge), "16384×16384 pixels, more than the limit of 64000000"));
}

TEST_CASE("decode: a few bytes that stand for many are refused") {
  const auto big_endian = [](std::size_t value) {
    std::string out;
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift & 255u);
    return out;
  };
  const std::string packed = io::gzip(std::string(20'000'000, '\0'));
  const std::string idat = "IDAT\x78\x9C" + packed.substr(10, packed.size() - 18) + "1234";
  std::string bomb = image::encode_png(picture(8, 8, 1)).substr(0, 33);  // the header of a small picture
  bomb += big_endian(idat.size() - 4) + idat + big_endian(image::detail::png_crc(idat));
  bomb += std::string(4, '\0') + "IEND" + big_endian(image::detail::png_crc("IEND"));
  CHECK(contains(refusal(bomb), "damaged PNG (outofmem)"));
}

TEST_CASE("encode: shapes and options are checked, a failed write leaves nothing") {
  const testing::ScratchFolder folder;
  CHECK(contains(error_text<ShapeError>([] { image::encode_png(Image(Shape{4, 4})); }), "expected (H,W,C)"));
  CHECK(contains(error_text<ShapeError>([] {
                   image::encode_png(Image(Shape{4, 4, 5}));
                 }),
                 "expected (H,W,C)"));
  CHECK(contains(error_text<ShapeError>([] {
                   image::encode_jpeg(Image(Shape{0, 4, 3}));
                 }),
                 "expected (H,W,C)"));
  CHECK(contains(error_text<ValueError>([] { image::encode_jpeg(picture(4, 4, 3), {.quality = 0}); }),
                 "quality is 0"));
  error_text([&] { image::write_png(folder.path() / "none" / "x.png", picture(4, 4, 3)); });
  CHECK(folder.entries() == 0);
}

TEST_CASE("decode: threads decode at the same time") {
  const Image x = picture(32, 32, 3);
  const std::string good = image::encode_jpeg(x), bad = good.substr(0, 300) + "\xFF\xD9";
  const Image expected = decode(good);
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (std::size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        right[t] += same(decode(good), expected);
        try {
          decode(bad);
        } catch (const FileError&) {}
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == std::vector<int>(4, 50));
}

TEST_CASE("decode: random damage gives a picture or an error") {
  const Image x = picture(33, 31, 3);
  Rng rng(5);
  int pictures = 0, errors = 0;
  for (const std::string& whole :
       {image::encode_png(x), image::encode_jpeg(x), bmp(4, 4, std::string(48, 'a')),
        std::string("P6 2 2 255\n123456789012")}) {
    for (int round = 0; round < 300; ++round) {
      std::string bytes = whole;
      for (Index i = rng.below(6); i >= 0; --i) {
        bytes[static_cast<std::size_t>(rng.below(static_cast<Index>(bytes.size())))] =
            static_cast<char>(rng.bits());
      }
      try {
        pictures += image::decode(bytes, "x", {.max_pixels = 1 << 20}).numel() > 0;
      } catch (const FileError&) { ++errors; }
    }
  }
  CHECK(pictures > 0);
  CHECK(errors > 0);
}

TEST_CASE("decode: PngSuite reads as its PNM copies and in all its kinds") {
  const auto folder = testing::real_data("PngSuite", "pngsuite/tests");
  if (!folder) return;
  int read = 0, refused = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder)) {
    const auto path = entry.path();
    if (!entry.is_regular_file() || (path.extension() != ".png" && path.parent_path().filename() != "pbm"))
      continue;
    const bool corrupt =
        path.parent_path().filename() == "corrupt" || path.parent_path().filename() == "iphone";
    try {
      const Image x = image::read(path, {.channels = 3});
      CHECK(x.size(2) == 3);
      CHECK(image::read_float(path).size(1) == x.size(1));
      CHECK_MESSAGE(!corrupt, path.string());
      ++read;
    } catch (const FileError& error) {
      CHECK_MESSAGE(corrupt, error.what());
      ++refused;
    }
  }
  CHECK(read > 200);
  CHECK(refused > 10);
}

TEST_CASE("decode: the malformed files of fuzzing corpora give a picture or an error") {
  const auto folder = testing::real_data("picture corpora", "broken");
  if (!folder) return;
  int read = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    try {
      read += image::read(entry.path(), {.channels = 3}).numel() > 0;
    } catch (const FileError& error) {
      CHECK(contains(error.what(), entry.path().filename().string() + ": "));
      ++refused;
    }
  }
  CHECK(read > 0);
  CHECK(refused > 500);
}

TEST_CASE("decode: photographs, baseline and progressive") {
  const auto folder = testing::real_data("photographs", "scenes15/train/Bedroom");
  if (!folder) return;
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const Image x = image::read(entry.path(), {.channels = 1});
    double sum = 0, squares = 0;
    for (const std::uint8_t v : x.span()) sum += v, squares += v * v;
    const double n = static_cast<double>(x.numel()), deviation = std::sqrt(squares / n - sum / n * sum / n);
    CHECK(deviation > 10);  // a picture, not a gray plane
    CHECK(std::min(x.size(0), x.size(1)) >= 200);
    ++count;
  }
  CHECK(count == 100);
}
