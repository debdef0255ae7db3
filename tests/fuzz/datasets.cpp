// Fuzzes the readers of packed data sets: idx plain and compressed, and CIFAR-10 records.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tenon/data/cifar10.hpp"
#include "tenon/data/mnist.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    std::string plain = bytes;
    if (io::is_gzip(plain)) plain = io::gunzip(plain, 1 << 20, "input");
    if (data::parse_idx(plain, "input").numel() > static_cast<Index>(plain.size())) std::abort();
  } catch (const FileError&) {}
  try {
    if (io::inflate_raw(bytes, 1000, "input").size() != 1000) std::abort();
  } catch (const FileError&) {}
  try {
    data::validate(data::parse_cifar10({bytes}, {"input"}), "input", {.labelled = true});
  } catch (const FileError&) {}
  return 0;
}
