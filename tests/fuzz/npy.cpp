// Fuzzes the .npy reader: whatever the bytes, a tensor no larger than its file, or a FileError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tenon/io/npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    if (static_cast<std::size_t>(io::parse_npy<double>(bytes, "input").numel()) > size) std::abort();
    static_cast<void>(io::parse_npy<std::int32_t>(bytes, "input"));
  } catch (const FileError&) {}
  return 0;
}
