// The CPU's largest kernels as parts of a library: whatever is compiled after this header calls them and does not
// compile them again, which is most of the time that a program with convolutions takes to compile.
//
// The CMake target tenon::compiled includes it before everything else, and makes one source file of each
// declaration here (see cmake/TenonCompiled.cmake). Without that target there is no such library, and nobody
// includes this.
#pragma once

#include "tenon/backend/cpu/backend.hpp"

namespace tenon::cpu {

extern template void gemm(const GemmGeometry&, const float*, const float*, float*);
extern template void gemm(const GemmGeometry&, const double*, const double*, double*);

extern template void conv2d_forward(const Conv2dGeometry&, const float*, ConvWeights<float>, Epilogue<float>, float*);
extern template void conv2d_forward(const Conv2dGeometry&, const double*, ConvWeights<double>, Epilogue<double>,
                                    double*);
extern template void conv2d_backward_data(const Conv2dGeometry&, const float*, const float*, bool, float*);
extern template void conv2d_backward_data(const Conv2dGeometry&, const double*, const double*, bool, double*);
extern template void conv2d_backward_weights(const Conv2dGeometry&, const float*, const float*, float*);
extern template void conv2d_backward_weights(const Conv2dGeometry&, const double*, const double*, double*);

extern template void conv2d_relu_max_pool2d(const Conv2dGeometry&, const Pool2dGeometry&, const float*,
                                            ConvWeights<float>, const float*, float*);
extern template void conv2d_relu_max_pool2d(const Conv2dGeometry&, const Pool2dGeometry&, const double*,
                                            ConvWeights<double>, const double*, double*);
extern template void conv_pool_forward(const Conv2dGeometry&, const Pool2dGeometry&, const float*, const float*,
                                       const float*, float*, std::uint8_t*);
extern template void conv_pool_forward(const Conv2dGeometry&, const Pool2dGeometry&, const double*, const double*,
                                       const double*, double*, std::uint8_t*);
extern template void conv_pool_backward(const Conv2dGeometry&, const Pool2dGeometry&, const float*, const float*,
                                        const float*, const std::uint8_t*, float*, float*, float*);
extern template void conv_pool_backward(const Conv2dGeometry&, const Pool2dGeometry&, const double*, const double*,
                                        const double*, const std::uint8_t*, double*, double*, double*);

}  // namespace tenon::cpu
