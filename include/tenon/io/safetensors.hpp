// safetensors: named tensors in one file. A little-endian 64-bit count N, N bytes of JSON that say the type,
// shape and place of each tensor, then the elements, without gaps.
//
//   const auto file = io::SafeTensors::load("weights.safetensors");
//   Tensor<float> w = file.get<float>("fc.weight");
//
//   io::SafeTensorsWriter out;
//   out.metadata["epoch"] = "30";
//   out.add("fc.weight", w);
//   out.save("weights.safetensors");
//
// The file is hostile: every size and place is checked before the first element is touched, and an object
// exists only if the whole file is in order.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/io/atomic_file.hpp"
#include "tenon/io/json.hpp"
#include "tenon/tensor/tensor.hpp"

namespace tenon::io {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

// The format's name of an element type.
template <Scalar T>
constexpr const char* safetensors_type() {
  if constexpr (std::same_as<T, double>)
    return "F64";
  else if constexpr (std::same_as<T, float>)
    return "F32";
  else if constexpr (std::same_as<T, half>)
    return "F16";
  else if constexpr (std::same_as<T, bfloat16>)
    return "BF16";
  else if constexpr (std::same_as<T, std::int64_t>)
    return "I64";
  else if constexpr (std::same_as<T, std::int32_t>)
    return "I32";
  else
    return "U8";
}

// One entry of the header. The elements are bytes begin … end-1 of the data.
struct TensorEntry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::size_t begin = 0, end = 0;
};

namespace detail {

// Calls visit(T{}) with the C++ type of a format type; false if the name is unknown.
template <class Visit>
bool visit_safetensors_type(std::string_view dtype, Visit&& visit) {
  if (dtype == "F32") return visit(float{}), true;
  if (dtype == "F64") return visit(double{}), true;
  if (dtype == "F16") return visit(half{}), true;
  if (dtype == "BF16") return visit(bfloat16{}), true;
  if (dtype == "I64") return visit(std::int64_t{}), true;
  if (dtype == "I32") return visit(std::int32_t{}), true;
  if (dtype == "I16") return visit(std::int16_t{}), true;
  if (dtype == "I8") return visit(std::int8_t{}), true;
  if (dtype == "U64") return visit(std::uint64_t{}), true;
  if (dtype == "U32") return visit(std::uint32_t{}), true;
  if (dtype == "U16") return visit(std::uint16_t{}), true;
  if (dtype == "U8" || dtype == "BOOL") return visit(std::uint8_t{}), true;
  return false;
}

inline std::size_t safetensors_item_size(std::string_view dtype) {
  std::size_t size = 0;
  visit_safetensors_type(dtype, [&](auto item) { size = sizeof item; });
  return size;
}

// Finds a key that an object of the JSON text has twice, which the parser itself lets pass.
class DuplicateKeys : public nlohmann::json_sax<Json> {
 public:
  std::optional<std::string> found;

  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    found = name;
    return false;
  }
  bool start_object(std::size_t) override { return keys_.emplace_back(), true; }
  bool end_object() override { return keys_.pop_back(), true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

// A number of the header: a JSON integer from 0.
inline std::size_t header_count(const Json& json, std::string_view where, std::string_view what) {
  require<FileError>(json.is_number_unsigned(), where, what, " is not a count");
  return json.get<std::size_t>();
}

// The entry `json` of the header; `where` opens the messages. Checks it in itself: type, shape, size.
inline TensorEntry parse_entry(const std::string& name, const Json& json, std::string_view where) {
  require<FileError>(json.is_object() && json.size() == 3 && json.contains("dtype") &&
                         json.contains("shape") && json.contains("data_offsets"),
                     where, "expected dtype, shape and data_offsets");
  const Json &dtype = json["dtype"], &shape = json["shape"], &offsets = json["data_offsets"];
  require<FileError>(dtype.is_string() && shape.is_array() && offsets.is_array() && offsets.size() == 2,
                     where, "dtype must be a string, shape an array, data_offsets an array of two");
  TensorEntry entry{name, dtype.get<std::string>(), {}, 0, 0};
  const std::size_t item = safetensors_item_size(entry.dtype);
  require<FileError>(item > 0, where, "unknown type '", entry.dtype.substr(0, 16), "'");
  require<FileError>(shape.size() <= Shape::max_rank, where, shape.size(),
                     " dimensions, at most 8 are supported");

  constexpr std::size_t largest = std::size_t{1} << 60;
  std::size_t count = 1;
  for (const Json& extent : shape) {
    const std::size_t e = header_count(extent, where, "an extent of shape");
    require<FileError>(e <= largest && (e == 0 || count <= largest / e), where,
                       "its element count overflows");
    count *= e;
    entry.shape.push_back(static_cast<Index>(e));
  }
  entry.begin = header_count(offsets[0], where, "data_offsets");
  entry.end = header_count(offsets[1], where, "data_offsets");
  require<FileError>(
      entry.begin <= entry.end && entry.end - entry.begin == count * item && count <= largest / item, where,
      "bytes ", entry.begin, " to ", entry.end, " for ", count, " elements of ", entry.dtype);
  return entry;
}

// A stored element as a T. Integers must fit; a floating-point value does not become an integer.
template <Scalar T, class Stored>
T convert_element(Stored value, std::string_view where) {
  if constexpr (Floating<T> && Floating<Stored>) {
    return static_cast<T>(static_cast<Wide<Stored>>(value));
  } else if constexpr (Floating<T>) {
    return static_cast<T>(static_cast<Wide<T>>(value));
  } else if constexpr (Floating<Stored>) {
    fail<FileError>(where, "a floating-point tensor, integers were asked for");
  } else {
    require<FileError>(std::in_range<T>(value), where, "the value ", value, " does not fit ",
                       scalar_name<T>());
    return static_cast<T>(value);
  }
}

}  // namespace detail

class SafeTensors {
 public:
  static constexpr std::size_t max_header = 100'000'000;

  // FileError names the file, the place and the reason.
  static SafeTensors load(const std::filesystem::path& path) {
    return parse(read_file(path, std::size_t{1} << 40), path.string());
  }

  // The same from memory; `name` opens the messages.
  static SafeTensors parse(std::string bytes, std::string name) {
    SafeTensors out(std::move(bytes), std::move(name));
    out.read_header();
    out.check_places();
    return out;
  }

  // Sorted by place in the file.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const TensorEntry& e : entries_) out.push_back(e.name);
    return out;
  }
  bool contains(const std::string& name) const { return index_.contains(name); }

  const TensorEntry& entry(const std::string& name) const {
    const auto found = index_.find(name);
    require<FileError>(found != index_.end(), name_, ": no tensor '", name, "' among its ", entries_.size());
    return entries_[found->second];
  }

  // The tensor, which must be stored as T.
  template <Scalar T>
  Tensor<T> get(const std::string& name) const {
    const TensorEntry& e = entry(name);
    require<FileError>(e.dtype == safetensors_type<T>(), where(e), "its type is ", e.dtype, ", expected ",
                       safetensors_type<T>(), " (get_as converts)");
    Tensor<T> out(e.shape);
    if (e.end > e.begin) std::memcpy(out.data(), data(e), e.end - e.begin);
    return out;
  }

  // The tensor converted to T. FileError if a value does not fit an integer T.
  template <Scalar T>
  Tensor<T> get_as(const std::string& name) const {
    const TensorEntry& e = entry(name);
    Tensor<T> out(e.shape);
    detail::visit_safetensors_type(e.dtype, [&](auto stored) {
      const std::string place = where(e);
      const char* from = data(e);
      for (T& to : out.span()) {
        std::memcpy(&stored, from, sizeof stored);  // elements may stand unaligned
        from += sizeof stored;
        to = detail::convert_element<T>(stored, place);
      }
    });
    return out;
  }

 private:
  SafeTensors(std::string bytes, std::string name)
      : bytes_(std::make_shared<const std::string>(std::move(bytes))), name_(std::move(name)) {}

  std::string where(const TensorEntry& e) const {
    return text(name_, ": byte ", start_ + e.begin, ": tensor '", e.name, "': ");
  }
  const char* data(const TensorEntry& e) const { return bytes_->data() + start_ + e.begin; }

  void read_header() {
    require<FileError>(bytes_->size() >= 8, name_, ": ", bytes_->size(),
                       " bytes, too short for a safetensors file");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_->data(), 8);
    require<FileError>(length <= max_header, name_, ": byte 0: a header of ", length, " bytes, at most ",
                       max_header, " are accepted; not a safetensors file?");
    require<FileError>(length <= bytes_->size() - 8, name_, ": byte 0: a header of ", length,
                       " bytes, but only ", bytes_->size() - 8, " follow");
    start_ = 8 + static_cast<std::size_t>(length);
    const auto source = std::string_view(*bytes_).substr(8, static_cast<std::size_t>(length));
    require<FileError>(source.starts_with('{'), name_, ": byte 8: the header does not start with '{'");
    const std::string place = text(name_, ": header");
    const Json header = parse_json(source, place, {.max_bytes = max_header, .max_depth = 4});
    detail::DuplicateKeys duplicates;
    Json::sax_parse(source.begin(), source.end(), &duplicates);
    require<FileError>(!duplicates.found, place, ": the name '", duplicates.found.value_or(""),
                       "' stands twice");

    for (const auto& [key, value] : header.items()) {
      const std::string at = text(place, ": tensor '", key, "': ");
      if (key != "__metadata__") {
        entries_.push_back(detail::parse_entry(key, value, at));
        continue;
      }
      require<FileError>(value.is_object(), place, ": __metadata__ is not an object");
      for (const auto& [k, v] : value.items()) {
        require<FileError>(v.is_string(), place, ": __metadata__: the value of '", k, "' is not a string");
        metadata_[k] = v.template get<std::string>();
      }
    }
  }

  // The tensors follow each other from the first byte of the data to its last.
  void check_places() {
    std::sort(entries_.begin(), entries_.end(), [](const TensorEntry& a, const TensorEntry& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    std::size_t next = 0;
    for (const TensorEntry& e : entries_) {
      require<FileError>(e.begin == next, where(e),
                         e.begin < next ? "overlaps the one before" : "a gap before it", ", which ends at ",
                         next, " of the data");
      next = e.end;
      index_[e.name] = static_cast<std::size_t>(&e - entries_.data());
    }
    require<FileError>(next == bytes_->size() - start_, name_, ": the tensors take ", next,
                       " bytes, but the file holds ", bytes_->size() - start_, " bytes of data");
  }

  std::shared_ptr<const std::string> bytes_;
  std::string name_;
  std::size_t start_ = 0;  // of the data in the file
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// Collects tensors (their elements are shared, not copied) and writes them in one go.
class SafeTensorsWriter {
 public:
  std::map<std::string, std::string> metadata;

  // ValueError if the name is taken or reserved.
  template <Scalar T, Device D>
  void add(const std::string& name, const Tensor<T, D>& tensor) {
    require<ValueError>(name != "__metadata__", "safetensors: the name '__metadata__' is reserved");
    for (const Item& item : items_) {
      require<ValueError>(item.entry.name != name, "safetensors: the name '", name, "' is given twice");
    }
    const auto held = std::make_shared<const Tensor<T>>(tensor.template to<Cpu>());
    const std::size_t bytes = static_cast<std::size_t>(held->numel()) * sizeof(T);
    items_.push_back({{name, safetensors_type<T>(), held->shape(), 0, bytes},
                      sizeof(T),
                      std::shared_ptr<const void>(held, held->data())});
  }

  // Writes the file, which appears complete or not at all. FileError if that is not possible.
  void save(const std::filesystem::path& path) const {
    std::vector<const Item*> order;
    for (const Item& item : items_) order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {  // keeps every tensor aligned
      return a->alignment != b->alignment ? a->alignment > b->alignment : a->entry.name < b->entry.name;
    });
    AtomicFile file(path);
    file.write(header(order));
    for (const Item* item : order) {
      file.write(std::string_view(static_cast<const char*>(item->data.get()), item->entry.end));
    }
    file.commit();
  }

 private:
  struct Item {
    TensorEntry entry;  // begin is 0, end the size
    std::size_t alignment;
    std::shared_ptr<const void> data;
  };

  // The count and the JSON, padded with spaces so that the data start at a multiple of 8.
  std::string header(const std::vector<const Item*>& order) const {
    Json json = Json::object();
    if (!metadata.empty()) json["__metadata__"] = metadata;
    std::size_t at = 0;
    for (const Item* item : order) {
      Json shape = Json::array();
      for (const Index extent : item->entry.shape) shape.push_back(extent);
      json[item->entry.name] = {{"dtype", item->entry.dtype},
                                {"shape", std::move(shape)},
                                {"data_offsets", {at, at + item->entry.end}}};
      at += item->entry.end;
    }
    std::string source;
    try {
      source = json.dump();
    } catch (const Json::exception&) {
      fail<ValueError>("safetensors: a name or a metadata value is not valid UTF-8");
    }
    source.resize((source.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = source.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + source;
  }

  std::vector<Item> items_;
};

}  // namespace tenon::io
