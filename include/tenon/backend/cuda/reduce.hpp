// Reductions on the GPU: x (outer,n,inner) -> y (outer,inner), in an order that depends on the shape alone.
#pragma once

#include "tenon/backend/cuda/context.hpp"
#include "tenon/backend/cuda/kernels.hpp"

namespace tenon::cuda {

template <class Op, class T>
void reduce(Op op, const ReduceGeometry& g, const T* x, T* y) {
  const auto plan = kernels::ReducePlan::of(g.n, g.inner);
  const Index partial = plan.pieces == 1 ? 0 : g.outer * plan.pieces * g.inner;
  const DeviceScratch<Wide<T>> scratch(static_cast<std::size_t>(partial));
  check_kernel(kernels::reduce(Context::instance().stream(), op, g, plan, x, scratch.data(), y), "reduce");
}

}  // namespace tenon::cuda
