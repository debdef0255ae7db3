// Forward declarations, for headers that only name Tenon's types.
#pragma once

#include "tenon/core/device.hpp"
#include "tenon/core/scalar.hpp"

namespace tenon {

class Shape;
class Rng;
template <Scalar T, Device D> class Tensor;
template <class T, class D> class Var;

}  // namespace tenon
