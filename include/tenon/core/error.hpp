// Errors: every message says what was asked, what came and, where there is one, the way out.
//
//   require<ShapeError>(k > 0, "kmeans: k is ", k, ", expected at least 1");
#pragma once

#include <stdexcept>

#include "tenon/core/text.hpp"

namespace tenon {

// The base of everything the library throws; catch it to report any failure in one line.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ShapeError : Error { using Error::Error; };   // tensors whose shapes do not fit together
struct ValueError : Error { using Error::Error; };   // an argument outside its range
struct FileError : Error { using Error::Error; };    // a file that is missing, malformed or not writable
struct DeviceError : Error { using Error::Error; };  // a device that is absent, full or failing

template <class E = Error, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw E(text(parts...));
}

// The parts are joined only when the condition does not hold.
template <class E = Error, class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]] fail<E>(parts...);
}

}  // namespace tenon
