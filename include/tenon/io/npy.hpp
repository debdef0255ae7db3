// NumPy's .npy files, versions 1 to 3: one array of numbers (NumPy enhancement proposal 1 and its
// successors).
//
//   io::write_npy("x.npy", x);
//   auto x = io::read_npy<float>("x.npy");   // converts whatever numbers the file holds
//
// The file is hostile: its header is bounded and parsed by hand, the element count is checked against the
// bytes that are there before anything is allocated, and object arrays are refused.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/io/atomic_file.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::io {

static_assert(std::endian::native == std::endian::little, ".npy data are written as they lie in memory");

// What the header of a file says.
struct NpyHeader {
  char kind = 'f';       // f float, i signed, u unsigned, b bool
  std::size_t item = 4;  // bytes an element
  bool big_endian = false;
  bool fortran_order = false;  // the first index runs fastest
  Shape shape;
  std::size_t data = 0;  // where the elements begin in the file
};

namespace detail {

// Reads the dictionary of the header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class NpyDictionary {
 public:
  // `offset` is where `source` begins in the file, for messages.
  NpyDictionary(std::string_view source, std::size_t offset, std::string_view name)
      : source_(source), offset_(offset), name_(name) {}

  void parse(NpyHeader& h) {
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0 || seen[which]) refuse("an unexpected key");
      seen[which] = true;
      if (which == 0) type(h);
      if (which == 1) h.fortran_order = boolean();
      if (which == 2) h.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != source_.size()) refuse("text after the dictionary");
    if (!(seen[0] && seen[1] && seen[2])) refuse("descr, fortran_order or shape is missing");
  }

 private:
  [[noreturn]] void refuse(std::string_view reason) const {
    fail<FileError>(name_, ": byte ", offset_ + at_, ": malformed .npy header: ", reason);
  }

  void skip_space() {
    while (at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= source_.size() || source_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse(text("expected '", c, "'"));
  }

  std::string_view quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = source_.find(quote, at_);
    if (end == source_.npos || end - at_ > 32) refuse("a string without an end");
    const std::string_view s = source_.substr(at_, end - at_);
    at_ = end + 1;
    return s;
  }

  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (source_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    refuse("expected True or False");
  }

  // < little-endian, > big-endian, | and = neither; a letter for the kind; the size in bytes.
  void type(NpyHeader& h) {
    skip_space();
    const std::string_view s = at_ < source_.size() && source_[at_] == '[' ? std::string_view("[") : quoted();
    const bool known =
        s == "|b1" || s == "|u1" || s == "|i1" || s == "b1" || s == "u1" || s == "i1" ||
        (s.size() == 3 && (s[0] == '<' || s[0] == '>' || s[0] == '=' || s[0] == '|') &&
         ((s[1] == 'f' && (s[2] == '2' || s[2] == '4' || s[2] == '8')) ||
          ((s[1] == 'i' || s[1] == 'u') && (s[2] == '1' || s[2] == '2' || s[2] == '4' || s[2] == '8')) ||
          (s[1] == 'b' && s[2] == '1')));
    if (!known)
      refuse(
          text("elements of type '", s, "', expected numbers (floats of 2, 4, 8, integers of 1 to 8 bytes)"));
    h.kind = s[s.size() - 2];
    h.item = static_cast<std::size_t>(s.back() - '0');
    h.big_endian = s[0] == '>';
  }

  Shape tuple() {
    expect('(');
    Shape shape;
    while (!accept(')')) {
      if (shape.rank() == Shape::max_rank) refuse("more than 8 dimensions");
      shape.push_back(extent());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  Index extent() {
    skip_space();
    Index value = 0;
    const std::size_t first = at_;
    for (; at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '9'; ++at_) {
      if (value > (Index{1} << 50)) refuse("an extent of the shape is too large");
      value = 10 * value + (source_[at_] - '0');
    }
    if (at_ == first) refuse("an extent of the shape is not a number");
    if (at_ < source_.size() && source_[at_] == 'L') ++at_;  // written by Python 2
    return value;
  }

  std::string_view source_;
  std::size_t offset_, at_ = 0;
  std::string_view name_;
};

// Element i of the file, as the machine's own number.
template <class Stored>
Stored npy_element(const char* at, bool big_endian) {
  char bytes[sizeof(Stored)];
  std::memcpy(bytes, at, sizeof bytes);
  if (big_endian) std::reverse(bytes, bytes + sizeof bytes);
  Stored value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Calls visit(Stored{}) with the C++ type of the elements.
template <class Visit>
void visit_npy_type(const NpyHeader& h, Visit&& visit) {
  const auto of_size = [&](auto one, auto two, auto four, auto eight) {
    if (h.item == 1)
      visit(one);
    else if (h.item == 2)
      visit(two);
    else if (h.item == 4)
      visit(four);
    else
      visit(eight);
  };
  if (h.kind == 'f')
    of_size(half{}, half{}, float{}, double{});
  else if (h.kind == 'i')
    of_size(std::int8_t{}, std::int16_t{}, std::int32_t{}, std::int64_t{});
  else
    of_size(std::uint8_t{}, std::uint16_t{}, std::uint32_t{}, std::uint64_t{});
}

// A stored number as a T. Integers must fit; a floating-point value does not become an integer.
template <Scalar T, class Stored>
T npy_convert(Stored value, std::string_view name) {
  if constexpr (Floating<T> && Floating<Stored>) {
    return static_cast<T>(static_cast<Wide<Stored>>(value));
  } else if constexpr (Floating<T>) {
    return static_cast<T>(static_cast<Wide<T>>(value));
  } else if constexpr (Floating<Stored>) {
    fail<FileError>(name, ": floating-point elements, integers were asked for");
  } else {
    require<FileError>(std::in_range<T>(value), name, ": the value ", value, " does not fit ",
                       scalar_name<T>());
    return static_cast<T>(value);
  }
}

// How NumPy names an element type.
template <Scalar T>
constexpr const char* npy_type() {
  static_assert(!std::same_as<T, bfloat16>, "NumPy has no bfloat16: convert with cast<float>()");
  if constexpr (std::same_as<T, double>)
    return "<f8";
  else if constexpr (std::same_as<T, float>)
    return "<f4";
  else if constexpr (std::same_as<T, half>)
    return "<f2";
  else if constexpr (std::same_as<T, std::int64_t>)
    return "<i8";
  else if constexpr (std::same_as<T, std::int32_t>)
    return "<i4";
  else
    return "|u1";
}

}  // namespace detail

// The header of a .npy file held in memory, checked against the bytes that follow it; `name` (a path,
// usually) opens the message of a FileError.
inline NpyHeader parse_npy_header(std::string_view bytes, std::string_view name) {
  require<FileError>(bytes.size() >= 10 && bytes.starts_with("\x93NUMPY"), name, ": not a .npy file");
  const int version = static_cast<unsigned char>(bytes[6]);
  require<FileError>(version >= 1 && version <= 3, name, ": byte 6: version ", version,
                     " of .npy, expected 1 to 3");
  const std::size_t width = version == 1 ? 2 : 4, start = 8 + width;
  require<FileError>(bytes.size() >= start, name, ": ends inside the .npy header");
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, width);
  require<FileError>(length <= bytes.size() - start && length <= 65536, name, ": byte 8: a header of ",
                     length, " bytes, but only ", bytes.size() - start,
                     " follow (at most 65536 are accepted)");

  NpyHeader h;
  detail::NpyDictionary(bytes.substr(start, length), start, name).parse(h);
  h.data = start + length;
  const std::size_t room = (bytes.size() - h.data) / h.item;
  std::size_t count = 1;
  bool empty = false;
  for (const Index extent : h.shape) empty = empty || extent == 0;
  for (const Index extent : h.shape) {
    if (empty) break;
    require<FileError>(static_cast<std::size_t>(extent) <= room / count, name, ": shape ", h.shape, " of ",
                       h.item, "-byte elements, but only ", bytes.size() - h.data,
                       " bytes follow the header");
    count *= static_cast<std::size_t>(extent);
  }
  require<FileError>(empty || count <= room, name, ": shape ", h.shape,
                     ", but no element follows the header");
  return h;
}

// Parses a .npy file held in memory. FileError if it is malformed, or its numbers do not fit T.
template <Scalar T>
Tensor<T> parse_npy(std::string_view bytes, std::string_view name) {
  const NpyHeader h = parse_npy_header(bytes, name);
  Shape stored = h.shape;
  if (h.fortran_order) {  // the transposed array, row by row
    for (int d = 0; d < stored.rank(); ++d) stored.set(d, h.shape[h.shape.rank() - 1 - d]);
  }
  Tensor<T> x(stored);
  detail::visit_npy_type(h, [&](auto type) {
    using Stored = decltype(type);
    const char* from = bytes.data() + h.data;
    for (T& value : x.span()) {
      value = detail::npy_convert<T>(detail::npy_element<Stored>(from, h.big_endian), name);
      from += sizeof(Stored);
    }
  });
  if (!h.fortran_order || h.shape.rank() < 2) return x.reshape(h.shape);

  Tensor<T> y(h.shape);
  for (Index i = 0; i < y.numel(); ++i) {
    Index rest = i, at = 0, stride = x.numel();
    for (int d = h.shape.rank() - 1; d >= 0; --d) {  // the last index is the slowest one of the file
      stride /= h.shape[d];
      at += rest % h.shape[d] * stride;
      rest /= h.shape[d];
    }
    y.data()[i] = x.data()[at];
  }
  return y;
}

template <Scalar T>
Tensor<T> read_npy(const std::filesystem::path& path) {
  return parse_npy<T>(read_file(path, std::size_t{1} << 40), path.string());
}

// The bytes of a .npy file, version 1.
template <Scalar T>
std::string npy_bytes(const Tensor<T>& x) {
  std::string shape;
  for (const Index extent : x.shape()) shape += text(shape.empty() ? "" : ", ", extent);
  if (x.rank() == 1) shape += ',';
  std::string header =
      text("{'descr': '", detail::npy_type<T>(), "', 'fortran_order': False, 'shape': (", shape, "), }");
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 11, ' ');  // the elements begin at a multiple of 64
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255u);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  if (x.numel() > 0)
    bytes.append(reinterpret_cast<const char*>(x.data()), static_cast<std::size_t>(x.numel()) * sizeof(T));
  return bytes;
}

// Writes the file, which appears complete or not at all. FileError if that is not possible.
template <Scalar T>
void write_npy(const std::filesystem::path& path, const Tensor<T>& x) {
  write_file(path, npy_bytes(x));
}

}  // namespace tenon::io
