// gzip and deflate: round trips, the bound on the result, and damage of every kind.
#include <doctest/doctest.h>

#include "files.hpp"
#include "tenon/core/random.hpp"
#include "tenon/io/gzip.hpp"

using namespace tenon;
using testing::contains, testing::error_text;

namespace {

// Half of it random, half of it repetitive.
std::string sample(std::size_t size) {
  Rng rng(3);
  std::string bytes;
  while (bytes.size() < size) {
    bytes += bytes.size() % 200 < 100 ? static_cast<char>(rng.bits()) : static_cast<char>(bytes.size() % 7);
  }
  return bytes;
}

}  // namespace

TEST_CASE("gzip: what is packed unpacks to itself") {
  for (const std::size_t size : {0u, 1u, 1000u, 32768u, 300000u}) {
    const std::string bytes = sample(size), packed = io::gzip(bytes);
    CHECK(io::is_gzip(packed));
    CHECK(io::gunzip(packed, size, "x.gz") == bytes);
    CHECK(io::gunzip(packed + std::string(512, '\0'), size, "x.gz") == bytes);
    CHECK(io::gunzip(packed + packed, 2 * size, "x.gz") == bytes + bytes);
  }
}

TEST_CASE("gzip: the result is bounded") {
  const std::string bomb = io::gzip(std::string(50'000'000, '\0'));
  CHECK(bomb.size() < 60'000);
  CHECK(error_text([&] { io::gunzip(bomb, 1'000'000, "x.gz"); }) ==
        "x.gz: unpacks to more than 1000000 bytes, which is the limit");
  const std::string packed = io::gzip("abc");
  CHECK(io::gunzip(packed, 3, "x.gz") == "abc");
  CHECK(contains(error_text([&] { io::gunzip(packed, 2, "x.gz"); }), "more than 2 bytes"));
  CHECK(contains(error_text([&] { io::gunzip(packed + packed, 5, "x.gz"); }), "more than 5 bytes"));
}

TEST_CASE("gzip: a damaged file is refused") {
  const std::string bytes = sample(5000), packed = io::gzip(bytes);
  CHECK(contains(error_text([] { io::gunzip("plain text", 100, "x.gz"); }), "x.gz: byte 0: not a gzip file"));
  for (std::size_t size = 2; size < packed.size(); size += 97) {
    CHECK(contains(error_text([&] { io::gunzip(packed.substr(0, size), 5000, "x.gz"); }), "end early"));
  }
  CHECK(contains(error_text([&] { io::gunzip(packed + "tail", 5000, "x.gz"); }), "4 bytes after the end"));
  for (const std::size_t at : {3u, 60u, 1000u}) {  // a flag, the contents
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    error_text([&] { io::gunzip(damaged, 5000, "x.gz"); });
  }
  std::string wrong_sum = packed;
  wrong_sum[packed.size() - 8] = static_cast<char>(~wrong_sum[packed.size() - 8]);
  CHECK(contains(error_text([&] { io::gunzip(wrong_sum, 5000, "x.gz"); }), "incorrect data check"));
}

TEST_CASE("deflate: a raw stream unpacks to exactly the size stated") {
  const std::string bytes = sample(70000), packed = io::gzip(bytes);
  const std::string raw = packed.substr(10, packed.size() - 18);  // without gzip's header and trailer
  CHECK(io::inflate_raw(raw, bytes.size(), "x.npz") == bytes);
  CHECK(contains(error_text([&] { io::inflate_raw(raw, bytes.size() - 1, "x.npz"); }),
                 "more than 69999 bytes"));
  CHECK(contains(error_text([&] { io::inflate_raw(raw, bytes.size() + 1, "x.npz"); }),
                 "unpacks to 70000 bytes"));
  CHECK(contains(error_text([&] { io::inflate_raw(raw.substr(0, 100), 70000, "x.npz"); }), "end early"));
  CHECK(contains(error_text([&] { io::inflate_raw("", 1, "x.npz"); }), "end early"));
}

TEST_CASE("gzip: the malformed files of fuzzing corpora unpack or are refused") {
  const auto folder = testing::real_data("gzip corpora", "broken");
  if (!folder) return;
  int good = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string name = entry.path().filename().string();
    const std::string bytes = io::read_file(entry.path());
    try {
      if (name.ends_with("gzip"))
        io::gunzip(bytes, 1 << 20, name);
      else if (name.ends_with("flate"))
        io::inflate_raw(bytes, 1000, name);
      else
        continue;
      ++good;
    } catch (const FileError&) { ++refused; }
  }
  CHECK(good > 0);
  CHECK(refused > 0);
}
