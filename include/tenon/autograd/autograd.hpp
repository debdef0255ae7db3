// Reverse-mode differentiation, in reading order: the record, then the operations, then how to check them.
#pragma once

#include "tenon/autograd/var.hpp"
#include "tenon/autograd/arithmetic.hpp"
#include "tenon/autograd/layout.hpp"
#include "tenon/autograd/reduce.hpp"
#include "tenon/autograd/matmul.hpp"
#include "tenon/autograd/activations.hpp"
#include "tenon/autograd/conv.hpp"
#include "tenon/autograd/pool.hpp"
#include "tenon/autograd/conv_pool.hpp"
#include "tenon/autograd/batchnorm.hpp"
#include "tenon/autograd/grad_check.hpp"
