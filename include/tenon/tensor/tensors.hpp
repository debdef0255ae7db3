// Tensors and what can be done with them, in reading order.
#pragma once

#include "tenon/tensor/tensor.hpp"
#include "tenon/tensor/elementwise.hpp"
#include "tenon/tensor/reduce.hpp"
#include "tenon/tensor/layout.hpp"
#include "tenon/tensor/matmul.hpp"
#include "tenon/tensor/topk.hpp"
#include "tenon/tensor/print.hpp"
