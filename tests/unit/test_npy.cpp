// .npy: bytes that NumPy writes, round trips, other types and orders, and files that lie.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "files.hpp"
#include "tenon/core/random.hpp"
#include "tenon/io/npy.hpp"

using namespace tenon;
using testing::contains, testing::error_text;

namespace {

// A file with this dictionary and these data, padded as NumPy pads it.
std::string npy(const std::string& dictionary, const std::string& data, char version = 1) {
  const std::size_t start = version == 1 ? 10 : 12;
  std::string header = dictionary;
  while ((start + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes = std::string("\x93NUMPY", 6) + version + '\0';
  for (std::size_t i = 0; i < start - 8; ++i) bytes += static_cast<char>(header.size() >> 8 * i & 255u);
  return bytes + header + data;
}

template <class T>
std::vector<T> values(const std::string& bytes) {
  return io::parse_npy<T>(bytes, "x").to_vector();
}

std::string refusal(const std::string& bytes) {
  const std::string message = error_text([&] { io::parse_npy<float>(bytes, "x"); });
  CHECK(message.starts_with("x: "));
  return message;
}

}  // namespace

TEST_CASE("npy: the bytes of numpy.save(numpy.arange(3, dtype='<f4'))") {
  std::string expected = std::string("\x93NUMPY\x01\x00\x76\x00", 10) +
                         "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  expected.resize(127, ' ');
  expected += '\n';
  expected += std::string("\0\0\0\0\0\0\x80\x3F\0\0\0\x40", 12);
  CHECK(io::npy_bytes(Tensor<float>({3}, {0, 1, 2})) == expected);
  CHECK(values<float>(expected) == std::vector<float>{0, 1, 2});
}

TEST_CASE("npy: what is written is read back") {
  const testing::ScratchFolder folder;
  Rng rng(1);
  const auto check = [&](const auto& x) {
    using T = typename std::remove_cvref_t<decltype(x)>::value_type;
    io::write_npy(folder.path() / "x.npy", x);
    const auto y = io::read_npy<T>(folder.path() / "x.npy");
    CHECK(y.shape() == x.shape());
    CHECK(y.to_vector() == x.to_vector());
  };
  for (const Shape& shape :
       {Shape{}, Shape{0}, Shape{5}, Shape{3, 0, 2}, Shape{4, 5}, Shape{1, 2, 3, 4, 1, 2, 1, 2}}) {
    const auto x = Tensor<float>::uniform(shape, rng, -9, 9);
    check(x);
    check(x.cast<double>());
    check(x.cast<std::int32_t>());
    check(x.cast<std::int64_t>());
  }
  check(Tensor<std::uint8_t>({2, 2}, {0, 1, 254, 255}));
  CHECK(folder.entries() == 1);
  CHECK(io::npy_bytes(Tensor<float>::zeros({1 << 10, 3})).size() % 64 == 0);
  error_text([&] { io::write_npy(folder.path() / "none" / "x.npy", Tensor<float>::zeros({2})); });
}

TEST_CASE("npy: versions, keys in any order, byte orders, other numbers") {
  const std::string data("\x01\0\x02\0", 4);
  for (const char version : {char{1}, char{2}, char{3}}) {
    CHECK(values<float>(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }", data, version)) ==
          std::vector<float>{1, 2});
  }
  CHECK(values<float>(npy("{\"shape\":(2L,),\"descr\":\">i2\",\"fortran_order\":False}", data)) ==
        std::vector<float>{256, 512});
  CHECK(values<std::int32_t>(npy("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 1)}", data)) ==
        std::vector<std::int32_t>{1, 2});
  CHECK(values<float>(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (4,)}", data)) ==
        std::vector<float>{1, 0, 2, 0});
  CHECK(values<float>(npy("{'descr': '<f2', 'fortran_order': False, 'shape': ()}",
                          std::string("\0\x3C", 2))) == std::vector<float>{1});
  CHECK(values<double>(npy("{'descr': '>f8', 'fortran_order': False, 'shape': (1,)}",
                           std::string("\x3F\xF0\0\0\0\0\0\0", 8))) == std::vector<double>{1});
  const std::string six("\0\1\2\3\4\5", 6);  // columns (0,1) (2,3) (4,5)
  const auto x = io::parse_npy<std::uint8_t>(
      npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", six), "x");
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.to_vector() == std::vector<std::uint8_t>{0, 2, 4, 1, 3, 5});
  const auto cube = io::parse_npy<std::uint8_t>(
      npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 3), }", six), "x");
  CHECK(cube.to_vector() == std::vector<std::uint8_t>{0, 2, 4, 1, 3, 5});
}

TEST_CASE("npy: numbers that do not fit the wanted type are errors") {
  const std::string floats =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", std::string(4, '\0'));
  CHECK(contains(error_text([&] { io::parse_npy<std::int32_t>(floats, "x"); }), "integers were asked for"));
  const std::string large =
      npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", std::string("\0\0\0\0\1\0\0\0", 8));
  CHECK(contains(error_text([&] { io::parse_npy<std::int32_t>(large, "x"); }), "4294967296 does not fit"));
  CHECK(values<std::int64_t>(large) == std::vector<std::int64_t>{4294967296});
}

TEST_CASE("npy: malformed files are refused in plain words") {
  const std::string data(64, '\0');
  const auto with_shape = [&](const std::string& shape) {
    return refusal(npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }", data));
  };
  CHECK(contains(refusal(""), "not a .npy file"));
  CHECK(contains(refusal("PK\3\4 not an array"), "not a .npy file"));
  CHECK(contains(refusal(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", data, 9)),
                 "version 9"));
  CHECK(contains(with_shape("(17,)"), "only 64 bytes follow"));
  CHECK(contains(with_shape("(4294967296, 4294967296, 4294967296)"), "only 64 bytes follow"));
  CHECK(contains(with_shape("(99999999999999999999,)"), "too large"));
  CHECK(contains(with_shape("(-1,)"), "not a number"));
  CHECK(contains(with_shape("(1,1,1,1,1,1,1,1,1)"), "more than 8 dimensions"));
  CHECK(contains(with_shape("(1 2)"), "expected ')'"));
  CHECK(contains(with_shape("(1"), "not a number"));
  CHECK(contains(with_shape("3"), "expected '('"));
  CHECK(
      io::parse_npy<float>(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9999999), }", ""), "x")
          .numel() == 0);
  for (const std::string type : {"'O'", "'<f16'", "'<U4'", "'V8'", "'<c8'", "''", "[('a', '<f4')]"}) {
    CHECK(contains(refusal(npy("{'descr': " + type + ", 'fortran_order': False, 'shape': (1,), }", data)),
                   "of type"));
  }
  CHECK(contains(refusal(npy("{'descr': '<f4', 'fortran_order': False}", data)), "missing"));
  CHECK(contains(refusal(npy("{'descr': '<f4', 'descr': '<f4'}", data)), "unexpected key"));
  CHECK(contains(refusal(npy("{'evil': 1}", data)), "unexpected key"));
  CHECK(contains(refusal(npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", data)), "True or False"));
  CHECK(contains(refusal(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} import os", data)),
                 "after the dictionary"));
  CHECK(contains(refusal(npy("{'descr", data)), "malformed"));
}

TEST_CASE("npy: a file cut or damaged anywhere gives numbers or an error") {
  const std::string whole = io::npy_bytes(Tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  for (std::size_t size = 0; size < whole.size(); ++size) refusal(whole.substr(0, size));
  Rng rng(2);
  int read = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (Index i = rng.below(4); i >= 0; --i)
      bytes[static_cast<std::size_t>(rng.below(128))] = static_cast<char>(rng.bits());
    try {
      read += io::parse_npy<float>(bytes, "x").numel() <= 24;
    } catch (const FileError&) { ++refused; }
  }
  CHECK(refused > 100);
  CHECK(read + refused == 3000);
}
