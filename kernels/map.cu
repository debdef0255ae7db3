// y[i] = op(x[i]); y may be x.
#include "functors.cuh"
#include "launch.cuh"

namespace tenon::cuda::kernels {

template <class Op, class T>
Status map(Stream stream, Op op, const T* x, T* y, Index n) {
  return launch_each(stream, n, [=] __device__(Index i) { y[i] = narrow<T>(op(widen(x[i]))); });
}

#define INSTANTIATE(Op, T) template Status map(Stream, Op, const T*, T*, Index);
TENON_FLOATING_UNARY(INSTANTIATE, float)
TENON_FLOATING_UNARY(INSTANTIATE, double)
TENON_FLOATING_UNARY(INSTANTIATE, half)
TENON_FLOATING_UNARY(INSTANTIATE, bfloat16)
TENON_ARITHMETIC_UNARY(INSTANTIATE, std::int32_t)
TENON_ARITHMETIC_UNARY(INSTANTIATE, std::int64_t)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
