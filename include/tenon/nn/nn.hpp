// Neural-network modules, in reading order.
#pragma once

#include "tenon/nn/module.hpp"
#include "tenon/nn/init.hpp"
#include "tenon/nn/linear.hpp"
#include "tenon/nn/conv.hpp"
#include "tenon/nn/batchnorm.hpp"
#include "tenon/nn/layers.hpp"
#include "tenon/nn/fused.hpp"
#include "tenon/nn/sequential.hpp"
#include "tenon/nn/fold_batchnorm.hpp"
#include "tenon/nn/loss.hpp"
#include "tenon/nn/summary.hpp"
