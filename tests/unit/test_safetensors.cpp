// safetensors: what is written is read back, published files are read, malformed ones are refused with the
// reason.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>

#include "files.hpp"
#include "tenon/io/safetensors.hpp"

using namespace tenon;
using testing::contains, testing::error_text;

namespace {

// A file with this header and so many bytes of data, 0, 1, 2, …
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  bytes += header;
  for (std::size_t i = 0; i < data; ++i) bytes += static_cast<char>(i);
  return bytes;
}

io::SafeTensors parse(const std::string& header, std::size_t data) {
  return io::SafeTensors::parse(file_of(header, data), "t.safetensors");
}

// The reason for which the file is refused.
std::string refusal(const std::string& header, std::size_t data) {
  const std::string message = error_text([&] { parse(header, data); });
  CHECK(message.starts_with("t.safetensors: "));
  return message;
}

template <Scalar T>
void check_round_trip(const std::filesystem::path& path) {
  const Tensor<T> x({2, 3}, {T(0), T(1), T(2), T(100), T(7), T(5)});
  io::SafeTensorsWriter out;
  out.add("x", x);
  out.save(path);
  const auto file = io::SafeTensors::load(path);
  CHECK(file.entry("x").dtype == io::safetensors_type<T>());
  const auto y = file.template get<T>("x");
  CHECK(y.shape() == x.shape());
  CHECK(std::memcmp(y.data(), x.data(), 6 * sizeof(T)) == 0);
  CHECK(file.template get_as<double>("x").to_vector() == std::vector<double>{0, 1, 2, 100, 7, 5});
}

}  // namespace

TEST_CASE("safetensors: every type survives a round trip") {
  const testing::ScratchFolder folder;
  const auto path = folder.path() / "x.safetensors";
  check_round_trip<double>(path);
  check_round_trip<float>(path);
  check_round_trip<half>(path);
  check_round_trip<bfloat16>(path);
  check_round_trip<std::int64_t>(path);
  check_round_trip<std::int32_t>(path);
  check_round_trip<std::uint8_t>(path);
  CHECK(folder.entries() == 1);  // each replaced the one before
}

TEST_CASE("safetensors: names, metadata, scalars and empty tensors survive; the data stay aligned") {
  const testing::ScratchFolder folder;
  const auto path = folder.path() / "x.safetensors";
  Rng rng(1);
  const auto w = Tensor<float>::normal({3, 5}, rng);
  io::SafeTensorsWriter out;
  out.metadata["epoch"] = "30 \"é\"";
  out.add("mask", Tensor<std::uint8_t>({3}, {1, 0, 1}));
  out.add("w", w);
  out.add("loss", Tensor<double>::scalar(0.25));
  out.add("none", Tensor<float>(Shape{0, 7}));
  out.save(path);

  const std::string bytes = io::read_file(path);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);

  const auto file = io::SafeTensors::load(path);
  CHECK(file.names() == std::vector<std::string>{"loss", "none", "w", "mask"});
  for (const auto& e : file.entries())
    CHECK(e.begin % (e.dtype == "F64" ? 8 : e.dtype == "F32" ? 4 : 1) == 0);
  CHECK(file.metadata() == out.metadata);
  CHECK(file.get<float>("w").to_vector() == w.to_vector());
  CHECK(file.get<double>("loss").item() == 0.25);
  CHECK(file.get<double>("loss").rank() == 0);
  CHECK(file.get<float>("none").shape() == Shape{0, 7});
  CHECK(file.contains("mask"));
  CHECK_FALSE(file.contains("Mask"));

  io::SafeTensorsWriter().save(path);
  CHECK(io::SafeTensors::load(path).entries().empty());
}

TEST_CASE("safetensors: reading as another type is refused or, on request, converted") {
  const auto file = parse(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                          R"("b":{"dtype":"U16","shape":[2],"data_offsets":[8,12]},)"
                          R"("c":{"dtype":"BOOL","shape":[1],"data_offsets":[12,13]},)"
                          R"("d":{"dtype":"F16","shape":[1],"data_offsets":[13,15]}})",
                          15);
  CHECK(file.get_as<double>("b").to_vector() == std::vector<double>{0x0908, 0x0B0A});
  CHECK(file.get_as<std::int32_t>("b").to_vector() == std::vector<std::int32_t>{0x0908, 0x0B0A});
  CHECK(file.get_as<float>("c").to_vector() == std::vector<float>{12});
  CHECK(contains(error_text([&] { file.get<float>("a"); }), "tensor 'a': its type is I64, expected F32"));
  CHECK(contains(error_text([&] { file.get<std::uint8_t>("c"); }), "its type is BOOL, expected U8"));
  CHECK(contains(error_text([&] { file.get_as<std::int32_t>("a"); }), "does not fit int32"));
  CHECK(contains(error_text([&] { file.get_as<std::int32_t>("d"); }), "integers were asked for"));
  CHECK(contains(error_text([&] { file.get<float>("e"); }), "no tensor 'e' among its 4"));
}

TEST_CASE("safetensors: a file that is cut or no safetensors file is refused") {
  const auto load = [](std::string bytes) {
    return error_text([&] { io::SafeTensors::parse(std::move(bytes), "t.safetensors"); });
  };
  CHECK(contains(load(""), "too short"));
  CHECK(contains(load("1234567"), "too short"));
  CHECK(contains(load(std::string("\x10\0\0\0\0\0\0\0{}", 10)), "a header of 16 bytes, but only 2 follow"));
  CHECK(contains(load(std::string(100, '\xFF')), "not a safetensors file?"));
  CHECK(contains(load(std::string("\1\0\0\0\0\0\0\0 ", 9)), "does not start with '{'"));
  const std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  for (std::size_t size = 0; size < whole.size(); ++size) load(whole.substr(0, size));
  CHECK(contains(load(whole + 'x'), "the tensors take 8 bytes, but the file holds 9"));
  CHECK(contains(error_text([] { io::SafeTensors::load("/nowhere/x.safetensors"); }),
                 "/nowhere/x.safetensors"));
}

TEST_CASE("safetensors: a malformed header is refused with its reason") {
  const auto one = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":")" + type + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}}";
  };
  CHECK(parse(one("F32", "2", "0,8"), 8).entries().size() == 1);  // the pattern itself is in order
  CHECK(contains(refusal(R"({"a":)", 0), "not valid JSON"));
  CHECK(contains(refusal("{} x", 0), "not valid JSON"));
  CHECK(contains(refusal(R"({"a":3})", 0), "expected dtype, shape and data_offsets"));
  CHECK(
      contains(refusal(R"({"a":{"dtype":"F32","shape":[0]}})", 0), "expected dtype, shape and data_offsets"));
  CHECK(contains(refusal(one("F32", "2", "0,8,9"), 8), "data_offsets an array of two"));
  CHECK(contains(refusal(one("F8_E4M3", "8", "0,8"), 8), "unknown type 'F8_E4M3'"));
  CHECK(contains(refusal(one("F32", "-2", "0,8"), 8), "is not a count"));
  CHECK(contains(refusal(one("F32", "2.0", "0,8"), 8), "is not a count"));
  CHECK(contains(refusal(one("F32", "2", "0,1e1"), 8), "is not a count"));
  CHECK(contains(refusal(one("F32", "1,1,1,1,1,1,1,1,1", "0,4"), 4), "9 dimensions"));
  CHECK(contains(refusal(one("F32", "3", "0,8"), 8), "bytes 0 to 8 for 3 elements of F32"));
  CHECK(contains(refusal(one("F32", "2", "8,0"), 8), "bytes 8 to 0"));
  CHECK(contains(refusal(one("F32", "4294967296,4294967296", "0,8"), 8), "overflows"));
  CHECK(contains(refusal(one("F64", "1152921504606846976,2", "0,8"), 8), "overflows"));
  CHECK(contains(refusal(one("F64", "1152921504606846976", "0,8"), 8), "1152921504606846976 elements"));
  CHECK(contains(refusal(one("F32", "18446744073709551616", "0,8"), 8), "is not a count"));
  CHECK(contains(refusal(one("F32", "2", "4,12"), 12), "a gap before it"));
  CHECK(contains(refusal(R"({"__metadata__":{"a":1}})", 0), "the value of 'a' is not a string"));
  CHECK(contains(refusal(R"({"__metadata__":[]})", 0), "__metadata__ is not an object"));
  CHECK(contains(refusal(R"({"a":)" + std::string(100, '['), 0), "levels deep"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                         R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                         3),
                 "tensor 'b': overlaps the one before"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                         R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                         1),
                 "the name 'a' stands twice"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
                 "the name 'dtype' stands twice"));
}

TEST_CASE("safetensors: the writer refuses names it cannot write and leaves the old file") {
  const testing::ScratchFolder folder;
  io::SafeTensorsWriter out;
  const auto x = Tensor<float>::ones({1});
  out.add("a", x);
  CHECK(contains(error_text<ValueError>([&] { out.add("a", x); }), "given twice"));
  CHECK(contains(error_text<ValueError>([&] { out.add("__metadata__", x); }), "reserved"));
  const auto path = folder.path() / "x.safetensors";
  out.save(path);
  const std::string before = io::read_file(path);
  out.add("\xFF", x);
  CHECK(contains(error_text<ValueError>([&] { out.save(path); }), "UTF-8"));
  CHECK(io::read_file(path) == before);
  CHECK(folder.entries() == 1);
  CHECK(contains(error_text([&] { out.save(folder.path() / "no" / "x.safetensors"); }), "cannot write"));
}

TEST_CASE("safetensors: published files") {
  const auto folder = testing::real_data("safetensors", "weights");
  if (!folder) return;
  const auto mlp = io::SafeTensors::load(*folder / "mnist_mlp.safetensors");
  CHECK(mlp.names() == std::vector<std::string>{"l1.weight", "l2.weight"});
  const auto w = mlp.get<float>("l1.weight");
  CHECK(w.shape() == Shape{128, 784});
  double squares = 0;
  for (const float v : w.span()) squares += double{v} * v;
  CHECK(squares > 0);
  CHECK(squares < 1e6);  // weights, not bytes read at the wrong place
  const auto other = io::SafeTensors::load(*folder / "with_metadata.safetensors");
  CHECK(other.metadata().at("git_tag") == "v1.45");
  CHECK(other.get<float>("fc1.weight").shape() == Shape{20, 10});
}
