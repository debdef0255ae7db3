// y = op(a, b), element by element and with broadcasting; y may be an operand that is not repeated.
#include "functors.cuh"
#include "launch.cuh"

namespace tenon::cuda::kernels {

template <class Op, class T>
Status zip(Stream stream, Op op, const T* a, const T* b, T* y, Index n) {
  return launch_each(stream, n, [=] __device__(Index i) { y[i] = narrow<T>(op(widen(a[i]), widen(b[i]))); });
}

// y is dense, so element i of it is position i of the loop nest.
template <class Op, class T>
Status zip_broadcast(Stream stream, Op op, const BroadcastGeometry& g, const T* a, const T* b, T* y) {
  Index n = 1;
  for (int d = 0; d < g.rank; ++d) n *= g.extent[static_cast<std::size_t>(d)];
  return launch_each(stream, n, [=] __device__(Index i) {
    Index rest = i, at_a = 0, at_b = 0;
    for (int d = g.rank - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      const Index position = rest % g.extent[at];
      rest /= g.extent[at];
      at_a += position * g.stride_a[at];
      at_b += position * g.stride_b[at];
    }
    y[i] = narrow<T>(op(widen(a[at_a]), widen(b[at_b])));
  });
}

#define INSTANTIATE(Op, T)                                        \
  template Status zip(Stream, Op, const T*, const T*, T*, Index); \
  template Status zip_broadcast(Stream, Op, const BroadcastGeometry&, const T*, const T*, T*);
TENON_FLOATING_BINARY(INSTANTIATE, float)
TENON_FLOATING_BINARY(INSTANTIATE, double)
TENON_FLOATING_BINARY(INSTANTIATE, half)
TENON_FLOATING_BINARY(INSTANTIATE, bfloat16)
TENON_ARITHMETIC_BINARY(INSTANTIATE, std::int32_t)
TENON_ARITHMETIC_BINARY(INSTANTIATE, std::int64_t)
TENON_ARITHMETIC_BINARY(INSTANTIATE, std::uint8_t)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
