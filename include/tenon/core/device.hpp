// Where numbers live: a tag type a device. The tag is a template argument of every tensor, so that mixing
// devices does not compile.
#pragma once

#include <concepts>

namespace tenon {

struct Cpu {
  static constexpr const char* name = "cpu";
};

struct Cuda {
  static constexpr const char* name = "cuda";
};

template <class D>
concept Device = std::same_as<D, Cpu> || std::same_as<D, Cuda>;

// The kernels of a device, as static functions over raw pointers. backend/cpu/backend.hpp and
// backend/cuda/backend.hpp specialise it with the same names; everything above calls only through it.
template <Device D>
struct Backend;

}  // namespace tenon
