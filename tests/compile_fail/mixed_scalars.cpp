// expect: tenon: the operands have different scalar types; convert one with \.cast<T>\(\)
#include "tenon/tensor/tensors.hpp"

#ifdef TENON_FIXED
using Right = tenon::Tensor<float>;
#else
using Right = tenon::Tensor<double>;
#endif

auto mixed(const tenon::Tensor<float>& a, const Right& b) { return a - b; }
