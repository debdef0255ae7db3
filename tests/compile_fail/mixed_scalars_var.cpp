// expect: tenon: the operands have different scalar types; convert one with \.cast<T>\(\)
#include "tenon/autograd/autograd.hpp"

#ifdef TENON_FIXED
using Right = tenon::Tensor<float>;
#else
using Right = tenon::Tensor<double>;
#endif

auto mixed(const tenon::Var<float>& a, const Right& b) { return matmul(a, b); }
