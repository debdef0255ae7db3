// Fuzzes the safetensors reader: whatever the bytes, a file in order, all of whose tensors can be read, or a
// FileError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tenon/io/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  try {
    const auto file = io::SafeTensors::parse({reinterpret_cast<const char*>(data), size}, "input");
    std::size_t bytes = 0;
    for (const auto& entry : file.entries()) {
      bytes += entry.end - entry.begin;
      if (file.get_as<double>(entry.name).shape() != entry.shape) std::abort();
      try {
        static_cast<void>(file.get_as<std::int32_t>(entry.name));
      } catch (const FileError&) {  // a value that does not fit
      }
    }
    if (bytes > size) std::abort();
  } catch (const FileError&) {}
  return 0;
}
