// Training's other half, in reading order: what moves the parameters, and what steers it.
#pragma once

#include "tenon/optim/adam.hpp"
#include "tenon/optim/averaging.hpp"
#include "tenon/optim/clip.hpp"
#include "tenon/optim/loss_scaler.hpp"
#include "tenon/optim/one_cycle.hpp"
#include "tenon/optim/parameters.hpp"
#include "tenon/optim/plateau.hpp"
#include "tenon/optim/schedule.hpp"
#include "tenon/optim/sgd.hpp"
