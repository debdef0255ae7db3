// The readers of data sets: small sets made here, the real ones where they are, and every kind of broken
// file.
#include <doctest/doctest.h>

#include <cmath>

#include "files.hpp"
#include "tenon/data/annotated_folder.hpp"
#include "tenon/data/cifar10.hpp"
#include "tenon/data/image_folder.hpp"
#include "tenon/data/loader.hpp"
#include "tenon/data/mnist.hpp"
#include "tenon/data/synthetic.hpp"
#include "tenon/image/encode.hpp"

using namespace tenon;
using namespace tenon::data;
using testing::contains, testing::error_text;
namespace fs = std::filesystem;

namespace {

// Record r has label r % 10, and channel c of pixel i is (r + c + i) % 256.
std::string cifar_records(int count) {
  std::string bytes;
  for (int r = 0; r < count; ++r) {
    bytes += static_cast<char>(r % 10);
    for (int c = 0; c < 3; ++c) {
      for (int i = 0; i < 1024; ++i) bytes += static_cast<char>(r + c + i);
    }
  }
  return bytes;
}

std::string big_endian(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255u);
  return out;
}

std::string idx(const std::vector<std::uint32_t>& extents, const std::string& data) {
  std::string out = big_endian(0x0800u + static_cast<std::uint32_t>(extents.size()));
  for (const std::uint32_t e : extents) out += big_endian(e);
  return out + data;
}

std::string png(Index height, Index width, std::uint8_t value) {
  return image::encode_png(Tensor<std::uint8_t>::full({height, width, 3}, value));
}

}  // namespace

TEST_CASE("dataset: validation names what does not fit; a subset is a copy") {
  auto set = synthetic_shapes({.count = 12, .size = 8, .classes = 3});
  CHECK_NOTHROW(validate(set, "set", {.every_class = true, .labelled = true}));
  const auto part = subset(set, {7, 2, 7});
  CHECK(part.labels == std::vector<std::int32_t>{1, 2, 1});
  CHECK(part.name(0) == "synthetic#7");
  CHECK(part.image(1).to_vector() == set.image(2).to_vector());
  CHECK(contains(error_text<ValueError>([&] { subset(set, {12}); }), "position 12 in a set of 12"));

  CHECK(contains(error_text([&] {
                   validate(subset(set, {0, 1}), "set", {.every_class = true});
                 }),
                 "set: class 'square' has no picture"));
  set.labels[5] = 3;
  CHECK(error_text([&] { validate(set, "set"); }) == "set: synthetic#5: label 3, expected 0 to 2");
  set.labels[5] = -1;
  CHECK_NOTHROW(validate(set, "set"));
  CHECK(contains(error_text([&] { validate(set, "set", {.labelled = true}); }), "synthetic#5: no label"));
  set.labels.pop_back();
  CHECK(contains(error_text([&] { validate(set, "set"); }), "for 11 labels"));
}

TEST_CASE("cifar10: planes become pixels, short files and several files are fine") {
  const testing::ScratchFolder folder;
  folder.file("data_batch_1.bin", cifar_records(12));
  folder.file("data_batch_4.bin", cifar_records(3));
  folder.file("test_batch.bin", cifar_records(1));
  const auto train = read_cifar10(folder.path(), Split::train);
  CHECK(train.images.shape() == Shape{15, 32, 32, 3});
  CHECK(train.labels == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 0, 1, 2});
  CHECK(train.images.at({5, 2, 3, 1}) == (5 + 1 + 2 * 32 + 3) % 256);
  CHECK(train.images.at({14, 31, 31, 2}) == (2 + 2 + 1023) % 256);
  CHECK(train.name(13) == "data_batch_4.bin#1");
  CHECK(train.classes[9] == "truck");
  CHECK_NOTHROW(validate(train, "cifar", {.every_class = true, .labelled = true}));

  folder.file("batches.meta.txt", "a\nb\nc\nd\ne\nf\r\ng\nh\ni\nj\n\n");
  CHECK(read_cifar10(folder.path(), Split::test).classes[5] == "f");
  folder.file("batches.meta.txt", "a\n");
  CHECK(
      contains(error_text([&] { read_cifar10(folder.path(), Split::test); }), "1 class names, expected 10"));
}

TEST_CASE("cifar10: broken files") {
  const testing::ScratchFolder folder;
  CHECK(contains(error_text([&] { read_cifar10(folder.path(), Split::train); }), "no data_batch_1.bin"));
  CHECK(contains(error_text([&] { read_cifar10(folder.path(), Split::test); }), "test_batch.bin"));
  const auto path = folder.file("data_batch_1.bin", cifar_records(4).substr(0, 12291));
  CHECK(contains(error_text([&] { read_cifar10(folder.path(), Split::train); }),
                 "data_batch_1.bin: 12291 bytes, not a multiple of 3073-byte records"));
  folder.file("data_batch_1.bin", "");
  CHECK(contains(error_text([&] { read_cifar10_files({path}); }), "0 bytes"));
  std::string bad = cifar_records(4);
  bad[2 * 3073] = 10;
  folder.file("data_batch_1.bin", bad);
  CHECK(contains(error_text([&] { read_cifar10_files({path}); }),
                 "data_batch_1.bin: record 2 (byte 6146): label 10, expected 0 to 9"));
}

TEST_CASE("mnist: plain and compressed files, told apart by content") {
  const testing::ScratchFolder folder;
  const std::string images = idx({2, 2, 3}, "abcdefABCDEF"), labels = idx({2}, std::string("\x07\x00", 2));
  folder.file("train-images-idx3-ubyte", images);
  folder.file("train-labels-idx1-ubyte.gz", io::gzip(labels));
  folder.file("t10k-images-idx3-ubyte", io::gzip(images));  // compressed, whatever its name
  folder.file("t10k-labels-idx1-ubyte", labels);
  for (const Split split : {Split::train, Split::test}) {
    const auto set = read_mnist(folder.path(), split);
    CHECK(set.images.shape() == Shape{2, 2, 3, 1});
    CHECK(set.images.at({1, 0, 2, 0}) == 'C');
    CHECK(set.labels == std::vector<std::int32_t>{7, 0});
    CHECK_NOTHROW(validate(set, "mnist", {.labelled = true}));
  }
}

TEST_CASE("mnist: broken files") {
  const auto refusal = [](const std::string& bytes) { return error_text([&] { parse_idx(bytes, "x"); }); };
  CHECK(contains(refusal("abc"), "too short"));
  CHECK(contains(refusal(big_endian(0x0D03) + std::string(12, '\0')), "magic number 3331"));
  CHECK(contains(refusal(big_endian(0x0800)), "magic number 2048"));
  CHECK(contains(refusal(big_endian(0x0803) + big_endian(1)), "ends within its header"));
  CHECK(contains(refusal(idx({2, 3}, "abcde")), "does not fit the 5 bytes"));
  CHECK(contains(refusal(idx({2, 2}, "abcde")), "5 bytes of data for shape (2,2)"));
  CHECK(contains(refusal(idx({0, 2}, "")), "extent 0"));
  CHECK(contains(refusal(idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "abcd")), "does not fit"));
  const testing::ScratchFolder folder;
  const auto images = folder.file("i", idx({2, 1, 1}, "ab")), labels = folder.file("l", idx({3}, "\1\1\1"));
  CHECK(contains(error_text([&] { read_mnist_files(images, labels); }), "3 labels for 2 pictures"));
  CHECK(contains(error_text([&] { read_mnist_files(labels, images); }), "expected (N,H,W)"));
  const auto high = folder.file("h", idx({2}, "\1\x0C"));
  CHECK(contains(error_text([&] { read_mnist_files(images, high); }), "record 1: label 12"));
  const auto cut = folder.file("c", io::gzip(idx({2, 1, 1}, "ab")).substr(0, 20));
  CHECK(contains(error_text([&] { read_mnist_files(cut, labels); }), "end early"));
}

TEST_CASE("image folder: classes by name, hidden and other files left out") {
  const testing::ScratchFolder folder;
  folder.file("dog/2.png", png(4, 6, 20));
  folder.file("dog/1.PNG", png(4, 6, 10));
  folder.file("dog/notes.txt", "x");
  folder.file("dog/.hidden.png", "x");
  folder.file("Cat/a.ppm", "P6 6 4 255\n" + std::string(72, 'c'));
  folder.file(".git/a.png", "x");
  folder.file("readme.md", "x");
  fs::create_directory_symlink(folder.path() / "dog", folder.path() / "wolf");
  const auto set = read_image_folder(folder.path());
  CHECK(set.classes == std::vector<std::string>{"Cat", "dog", "wolf"});
  CHECK(set.names ==
        std::vector<std::string>{"Cat/a.ppm", "dog/1.PNG", "dog/2.png", "wolf/1.PNG", "wolf/2.png"});
  CHECK(set.labels == std::vector<std::int32_t>{0, 1, 1, 2, 2});
  CHECK(set.images.shape() == Shape{5, 4, 6, 3});
  CHECK(set.images.at({0, 0, 0, 0}) == 'c');
  CHECK(set.images.at({2, 3, 5, 2}) == 20);
  CHECK(read_image_folder(folder.path(), {.channels = 1}).images.shape() == Shape{5, 4, 6, 1});

  const DataLoader<float, ImageList> loader(list_image_folder(folder.path()),
                                            {.batch_size = 5, .workers = 1});
  for (auto& batch : loader.epoch(0)) {  // decoded by the worker
    for (Index i = 0; i < batch.images.numel(); ++i) {
      CHECK(!(std::abs(batch.images.data()[i] * 255 - set.images.data()[i]) > 1e-3f));
    }
  }

  folder.file("dog/3.png", png(4, 7, 30));
  const std::string message = error_text([&] { read_image_folder(folder.path()); });
  CHECK(contains(message, "dog/3.png: 7×4 pixels, but "));
  CHECK(contains(message, "has 6×4"));
  const auto list = list_image_folder(folder.path());  // sizes may differ here
  CHECK(list.size() == 7);
  CHECK(list.image(3).shape() == Shape{4, 7, 3});
  CHECK(list.label(3) == 1);
}

TEST_CASE("folders: photographs held sideways are turned upright") {
  // Exif says orientation 6: turned by a quarter. Pictures of 16×24 and 24×16 pixels then have one size.
  const std::string exif("Exif\0\0MM\0\x2A\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 32);
  const std::string jpeg = image::encode_jpeg(Tensor<std::uint8_t>::full({16, 24, 3}, 90));
  const std::string turned =
      jpeg.substr(0, 2) + "\xFF\xE1" + std::string("\0\x22", 2) + exif + jpeg.substr(2);
  const testing::ScratchFolder folder;
  folder.file("train/a/1.png", png(24, 16, 90));
  folder.file("train/a/2.jpg", turned);
  folder.file("train/annotations.json", R"({"filenames": ["a/2.jpg", "a/1.png"], "labels": [0, 1]})");
  CHECK(read_image_folder(folder.path() / "train").images.shape() == Shape{2, 24, 16, 3});
  CHECK(list_image_folder(folder.path() / "train").image(1).shape() == Shape{24, 16, 3});
  CHECK(read_annotated_folder(folder.path() / "train").images.shape() == Shape{2, 24, 16, 3});
}

TEST_CASE("image folder: what is missing is named") {
  const testing::ScratchFolder folder;
  CHECK(contains(error_text([&] { list_image_folder(folder.path() / "none"); }),
                 "none: cannot open the folder"));
  CHECK(contains(error_text([&] { list_image_folder(folder.path()); }), "no classes"));
  folder.file("a/1.png", png(2, 2, 1));
  folder.file("b/1.txt", "x");
  CHECK(contains(error_text([&] { list_image_folder(folder.path()); }), "b: no pictures"));
  fs::remove(folder.path() / "b/1.txt");
  fs::create_symlink("/nowhere/x.png", folder.path() / "b/1.png");
  CHECK(contains(error_text([&] { list_image_folder(folder.path()); }), "b/1.png: a link to nothing"));
  fs::remove(folder.path() / "b/1.png");
  folder.file("b/1.png", "not a picture");
  CHECK(contains(error_text([&] { read_image_folder(folder.path()); }),
                 "b/1.png: not a JPEG, PNG, BMP or PNM"));
}

TEST_CASE("annotated folder: labels by position, or none at all") {
  const testing::ScratchFolder folder;
  folder.file("a.png", png(3, 3, 1));
  folder.file("sub/b.png", png(3, 3, 2));
  folder.file("annotations.json", R"({"filenames": ["sub/b.png", "a.png"], "labels": [4, 0]})");
  const auto set = read_annotated_folder(folder.path());
  CHECK(set.labels == std::vector<std::int32_t>{4, 0});
  CHECK(set.names == std::vector<std::string>{"sub/b.png", "a.png"});
  CHECK(set.images.at({0, 1, 1, 1}) == 2);
  CHECK(set.class_count() == 5);
  CHECK(read_annotated_folder(folder.path(), {.classes = 10}).class_count() == 10);
  CHECK(read_annotated_folder(folder.path(), {.class_names = {"p", "q", "r", "s", "t"}}).classes[4] == "t");
  CHECK(contains(error_text([&] { read_annotated_folder(folder.path(), {.classes = 4}); }),
                 "annotations.json: label of 'sub/b.png' is 4, expected 0 to 3"));
  folder.file("annotations.json", R"({"filenames": ["a.png"], "labels": []})");
  CHECK(read_annotated_folder(folder.path(), {.classes = 10}).labels == std::vector<std::int32_t>{-1});
}

TEST_CASE("annotated folder: broken annotations") {
  const testing::ScratchFolder folder;
  folder.file("a.png", png(3, 3, 1));
  const auto refusal = [&](const std::string& json) {
    folder.file("annotations.json", json);
    return error_text([&] { read_annotated_folder(folder.path(), {.classes = 10}); });
  };
  CHECK(contains(refusal("{"), "not valid JSON"));
  CHECK(contains(refusal("[]"), "no list \"filenames\""));
  CHECK(contains(refusal(R"({"filenames": ["a.png"]})"), "no list \"labels\""));
  CHECK(contains(refusal(R"({"filenames": [], "labels": []})"), "no filenames"));
  CHECK(contains(refusal(R"({"filenames": ["a.png"], "labels": [1, 2]})"), "2 labels for 1 filenames"));
  CHECK(contains(refusal(R"({"filenames": [3], "labels": []})"), "filename 0 is not a string"));
  for (const char* name : {"../a.png", "/etc/passwd", "x/../../a.png", "..", "", "a.png\\u0000.png"}) {
    CHECK(contains(refusal(text(R"({"filenames": [")", name, R"("], "labels": []})")), "leaves the folder"));
  }
  for (const char* label : {"10", "-1", "1.5", "\"1\"", "null", "18446744073709551615"}) {
    CHECK(contains(refusal(text(R"({"filenames": ["a.png"], "labels": [)", label, "]}")), "expected 0 to 9"));
  }
  CHECK(contains(refusal(R"({"filenames": ["b.png"], "labels": [1]})"), "b.png"));
  fs::remove(folder.path() / "annotations.json");
  CHECK(contains(error_text([&] { read_annotated_folder(folder.path()); }), "annotations.json"));
}

TEST_CASE("cifar10: the real records") {
  const auto folder = testing::real_data("CIFAR-10 records", "cifar-10-batches-bin");
  if (!folder) return;
  const auto test = read_cifar10(*folder, Split::test);
  CHECK(test.size() == 1000);
  CHECK_NOTHROW(validate(test, "cifar", {.every_class = true, .labelled = true}));
  CHECK(test.label(0) == 3);  // the set's first test picture is a cat
  CHECK(test.classes[0] == "airplane");
  // Neighbouring pixels of one channel are alike; other orders of the planes would not give that.
  double next = 0, channel = 0;
  for (Index i = 0; i < test.size(); ++i) {
    const auto x = test.image(i);
    for (Index j = 0; j < 31; ++j) next += std::abs(x.at({16, j, 0}) - x.at({16, j + 1, 0}));
    for (Index j = 0; j < 31; ++j) channel += std::abs(x.at({16, j, 0}) - x.at({31 - 16, 31 - j, 0}));
  }
  CHECK(next < 0.5 * channel);
}

TEST_CASE("annotated folder: the real validation pictures") {
  const auto folder = testing::real_data("CIFAR-10-mini", "cifar10_mini/val");
  if (!folder) return;
  const auto set = read_annotated_folder(*folder, {.classes = 10});
  CHECK(set.images.shape() == Shape{5000, 32, 32, 3});
  CHECK_NOTHROW(validate(set, "val", {.every_class = true, .labelled = true}));
}

TEST_CASE("image folder: the real scenes") {
  const auto folder = testing::real_data("15 scenes", "scenes15/train");
  if (!folder) return;
  const auto list = list_image_folder(*folder, {.channels = 1});
  CHECK(list.size() == 1500);
  CHECK(list.class_count() == 15);
  CHECK(list.classes.front() == "Bedroom");
  CHECK(list.image(700).size(2) == 1);
  CHECK(contains(error_text([&] { read_image_folder(*folder); }), "pictures of one set must have one size"));
}
