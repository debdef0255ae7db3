// Choosing a device when the program runs: the same template, instantiated for each device of this build.
#pragma once

#include <tenon/tenon.hpp>

#ifdef TENON_WITH_CUDA
#include <tenon/cuda.hpp>
#endif

#include <string>

namespace programs {

// Calls run(tenon::Cpu{}) or run(tenon::Cuda{}).
template <class Run>
void with_device(const std::string& name, Run&& run) {
  if (name == "cpu") return run(tenon::Cpu{});
#ifdef TENON_WITH_CUDA
  tenon::cuda::require_device();
  run(tenon::Cuda{});
#else
  tenon::fail<tenon::DeviceError>("--device ", name,
                                  ": this program was built without CUDA; configure with -DTENON_CUDA=ON");
#endif
}

}  // namespace programs
