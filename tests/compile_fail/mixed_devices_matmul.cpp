// expect: tenon: the operands are on different devices; move one with \.to<Device>\(\)
#include "tenon/tensor/tensors.hpp"

#ifdef TENON_FIXED
using Right = tenon::Tensor<float, tenon::Cpu>;
#else
using Right = tenon::Tensor<float, tenon::Cuda>;
#endif

auto mixed(const tenon::Tensor<float, tenon::Cpu>& a, const Right& b) { return matmul(a, b); }
