// expect: constraint
#include "tenon/tensor/tensors.hpp"

#ifdef TENON_FIXED
tenon::Tensor<float> x;
#else
tenon::Tensor<bool> x;
#endif
