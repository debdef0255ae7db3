// expect: tenon: the operands are on different devices; move one with \.to<Device>\(\)
#include "tenon/autograd/autograd.hpp"

#ifdef TENON_FIXED
using Right = tenon::Var<float, tenon::Cpu>;
#else
using Right = tenon::Var<float, tenon::Cuda>;
#endif

auto mixed(const tenon::Var<float, tenon::Cpu>& a, const Right& b) { return a * b; }
