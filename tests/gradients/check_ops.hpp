// A gradient check of each operation in a part of the list.
#pragma once

#include <doctest/doctest.h>

#include "ops.hpp"

namespace tenon::testing {

inline void check_gradients(const OpCases<double, Cpu>& ops) {
  for (const auto& op : ops) {
    const auto report = grad_check(op.run, op.inputs);
    CHECK_MESSAGE(report.ok, op.name, ": ", report.message);
  }
}

}  // namespace tenon::testing
