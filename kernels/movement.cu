// Filling, converting and strided copies.
#include "launch.cuh"

namespace tenon::cuda::kernels {

template <class T>
Status fill(Stream stream, T* y, Index n, T value) {
  return launch_each(stream, n, [=] __device__(Index i) { y[i] = value; });
}

// Through float for the 16-bit formats, towards zero for integers.
template <class From, class To>
Status convert(Stream stream, const From* x, To* y, Index n) {
  return launch_each(stream, n, [=] __device__(Index i) { y[i] = narrow<To>(widen(x[i])); });
}

template <class T>
Status copy_strided(Stream stream, const StridedGeometry& g, const T* x, T* y) {
  Index n = 1;
  for (int d = 0; d < g.rank; ++d) n *= g.extent[static_cast<std::size_t>(d)];
  return launch_each(stream, n, [=] __device__(Index i) {
    Index rest = i, at_x = g.x_offset, at_y = g.y_offset;
    for (int d = g.rank - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      const Index position = rest % g.extent[at];
      rest /= g.extent[at];
      at_x += position * g.stride_x[at];
      at_y += position * g.stride_y[at];
    }
    y[at_y] = x[at_x];
  });
}

#define CONVERT(From, To) template Status convert(Stream, const From*, To*, Index);
#define INSTANTIATE(T)                                                        \
  template Status fill(Stream, T*, Index, T);                                 \
  template Status copy_strided(Stream, const StridedGeometry&, const T*, T*); \
  CONVERT(T, float)                                                           \
  CONVERT(T, double)                                                          \
  CONVERT(T, half)                                                            \
  CONVERT(T, bfloat16)                                                        \
  CONVERT(T, std::uint8_t)                                                    \
  CONVERT(T, std::int32_t)                                                    \
  CONVERT(T, std::int64_t)
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(half)
INSTANTIATE(bfloat16)
INSTANTIATE(std::uint8_t)
INSTANTIATE(std::int32_t)
INSTANTIATE(std::int64_t)
#undef INSTANTIATE
#undef CONVERT

}  // namespace tenon::cuda::kernels
