// Whole-file writing and JSON: what is written is read back, and what is malformed is refused with its place.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <string>

#include "files.hpp"
#include "tenon/io/atomic_file.hpp"
#include "tenon/io/json.hpp"

namespace fs = std::filesystem;
using namespace tenon;
using testing::contains, testing::error_text, testing::ScratchFolder;

namespace {

// While it lives, no file may grow past `bytes`: writing fails as on a full disk.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit small{bytes, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  ~SizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("a file is written whole and read back") {
  const ScratchFolder folder;
  const fs::path path = folder.path() / "data.bin";
  const std::string bytes("a\0b\r\n\xFF", 6);
  io::write_file(path, bytes);
  CHECK(io::read_file(path) == bytes);
  io::write_file(path, "shorter", {.sync = true});
  CHECK(io::read_file(path) == "shorter");
  io::write_file(folder.path() / "empty", "");
  CHECK(io::read_file(folder.path() / "empty").empty());
  CHECK(folder.entries() == 2);
}

TEST_CASE("an uncommitted write leaves the old file and nothing else") {
  const ScratchFolder folder;
  const fs::path path = folder.path() / "model";
  io::write_file(path, "old");
  SUBCASE("destroyed by an exception") {
    CHECK_THROWS_AS(
        [&] {
          io::AtomicFile file(path);
          file.write(std::string(100000, 'x'));
          CHECK(folder.entries() == 2);  // the old file and the one in the making
          throw ValueError("interrupted");
        }(),
        ValueError);
  }
  SUBCASE("no room for the bytes") {
    const SizeLimit limit(1000);
    // The first stays in the stream's buffer until commit, the second fails in write.
    for (const std::size_t size : {std::size_t{3000}, std::size_t{1} << 20}) {
      CHECK(error_text([&] { io::write_file(path, std::string(size, 'x')); }) ==
            path.string() + ": cannot write: File too large");
    }
  }
  CHECK(io::read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a target that cannot be replaced is reported and leaves no temporary file") {
  const ScratchFolder folder;
  const fs::path taken = folder.path() / "taken";
  fs::create_directories(taken / "inside");
  const std::string message = error_text([&] { io::write_file(taken, "bytes"); });
  CHECK(contains(message, taken.string()));
  CHECK(contains(message, "directory"));
  CHECK(folder.entries() == 1);
  CHECK(fs::is_directory(taken / "inside"));

  const fs::path missing = folder.path() / "no" / "such" / "file";
  CHECK(error_text([&] { io::write_file(missing, "bytes"); }) ==
        missing.string() + ": cannot write: No such file or directory");
  CHECK_FALSE(fs::exists(folder.path() / "no"));
}

TEST_CASE("a committed file takes no more") {
  const ScratchFolder folder;
  io::AtomicFile file(folder.path() / "f");
  file.write("once");
  file.commit();
  CHECK_THROWS_AS(file.write("twice"), FileError);
  CHECK_THROWS_AS(file.commit(), FileError);
  CHECK(io::read_file(folder.path() / "f") == "once");
}

TEST_CASE("reading is bounded and names what is wrong") {
  const ScratchFolder folder;
  const fs::path path = folder.path() / "ten";
  io::write_file(path, "0123456789");
  CHECK(io::read_file(path, 10).size() == 10);
  CHECK(contains(error_text([&] { io::read_file(path, 9); }), path.string() + ": 10 bytes, at most 9"));
  CHECK(contains(error_text([&] { io::read_file("/nowhere/x"); }), "/nowhere/x: cannot open: No such file"));
  CHECK(contains(error_text([&] { io::read_file(folder.path()); }), "cannot read"));
  if (fs::exists("/dev/zero")) CHECK_THROWS_AS(io::read_file("/dev/zero", 1 << 20), FileError);
}

TEST_CASE("folders are made on request only") {
  const ScratchFolder folder;
  io::ensure_directory(folder.path() / "a" / "b");
  io::ensure_directory(folder.path() / "a" / "b");
  CHECK(fs::is_directory(folder.path() / "a" / "b"));
  io::write_file(folder.path() / "file", "");
  CHECK(contains(error_text([&] { io::ensure_directory(folder.path() / "file"); }),
                 "file: cannot make the folder"));
  CHECK(contains(error_text([&] { io::ensure_directory(folder.path() / "file" / "x"); }),
                 "cannot make the folder"));
}

TEST_CASE("json is written and read back; what JSON cannot hold becomes null or U+FFFD") {
  const ScratchFolder folder;
  const fs::path path = folder.path() / "r.json";
  io::Json json = {{"accuracy", 0.1}, {"name", "Größe \"x\"\n"}, {"list", {1, -2, 3.5}}, {"flag", true}};
  io::write_json(path, json);
  CHECK(io::read_json(path) == json);
  CHECK(io::json_text({{"a", 1}}) == "{\n  \"a\": 1\n}\n");

  const auto lost = io::parse_json(io::json_text({{"nan", std::numeric_limits<double>::quiet_NaN()},
                                                  {"inf", std::numeric_limits<double>::infinity()},
                                                  {"bytes", "a\xFFz"}}),
                                   "lost");
  CHECK(lost["nan"].is_null());
  CHECK(lost["inf"].is_null());
  CHECK(lost["bytes"] == "a\uFFFDz");
}

TEST_CASE("malformed json is refused in one line with its place") {
  struct Bad {
    std::string source, message;
  };
  for (const Bad& bad :
       {Bad{"{\"a\": 1,}", "f: byte 8: not valid JSON"}, Bad{"", "f: byte 0: not valid JSON"},
        Bad{"[1, 2", "f: byte 5: not valid JSON"}, Bad{"[1] x", "f: byte 4: not valid JSON"},
        Bad{"[\"\x01\"]", "f: byte 2: not valid JSON"}, Bad{"[NaN]", "f: byte 1"},
        Bad{"[\n\n  tru]", "f: byte "}, Bad{"[\"\xC3\x28\"]", "f: byte 3"},
        Bad{"[1e999]", "f: not valid JSON: number overflow parsing '1e999'"}}) {
    CAPTURE(bad.source);
    const std::string message = error_text([&] { io::parse_json(bad.source, "f"); });
    CAPTURE(message);
    CHECK(message.starts_with(bad.message));
    CHECK_FALSE(contains(message, "\n"));
    CHECK_FALSE(contains(message, "exception"));
  }
  const ScratchFolder folder;
  io::write_file(folder.path() / "broken.json", "{");
  CHECK(contains(error_text([&] { io::read_json(folder.path() / "broken.json"); }), "broken.json: byte 1"));
}

TEST_CASE("json depth and size are bounded") {
  const auto nested = [](int n) { return std::string(static_cast<std::size_t>(n), '['); };
  const auto closed = [](int n) { return std::string(static_cast<std::size_t>(n), ']'); };
  CHECK_NOTHROW(io::parse_json(nested(128) + closed(128), "f"));
  CHECK(error_text([&] { io::parse_json(nested(129) + closed(129), "f"); }) ==
        "f: byte 128: JSON nested more than 128 levels deep");
  CHECK_THROWS_AS(io::parse_json(nested(5000000), "f"), FileError);
  CHECK(io::parse_json("[\"" + nested(500) + "\\\"" + nested(500) + "\"]", "f")[0].is_string());
  CHECK(contains(error_text([&] { io::parse_json("[1,2,3]", "f", {.max_bytes = 6}); }), "f: 7 bytes"));
}
