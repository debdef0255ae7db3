// Optimiser updates of one parameter in a single pass over memory; optim/ has the formulas' sources.
#include "launch.cuh"

namespace tenon::cuda::kernels {

template <class T>
Status sgd_update(Stream stream, const SgdStep& s, const T* grad, T* velocity, T* param, Index n) {
  const T lr = static_cast<T>(s.lr), momentum = static_cast<T>(s.momentum);
  const T fresh = static_cast<T>(1 - s.dampening), decay = static_cast<T>(s.weight_decay);
  const bool with_momentum = s.momentum != 0, first = s.first, nesterov = s.nesterov;
  return launch_each(stream, n, [=] __device__(Index i) {
    T g = grad[i] + decay * param[i];
    if (with_momentum) {
      const T v = first ? g : momentum * velocity[i] + fresh * g;
      velocity[i] = v;
      g = nesterov ? g + momentum * v : v;
    }
    param[i] -= lr * g;
  });
}

template <class T>
Status adam_update(Stream stream, const AdamStep& s, const T* grad, T* mean, T* square, T* param, Index n) {
  const T beta1 = static_cast<T>(s.beta1), beta2 = static_cast<T>(s.beta2), eps = static_cast<T>(s.eps);
  const T rate = static_cast<T>(s.lr / s.correction1), root = static_cast<T>(std::sqrt(s.correction2));
  const T shrink = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
  const T decay = static_cast<T>(s.decoupled ? 0 : s.weight_decay);
  return launch_each(stream, n, [=] __device__(Index i) {
    const T g = grad[i] + decay * param[i];
    const T m = beta1 * mean[i] + (1 - beta1) * g;
    const T v = beta2 * square[i] + (1 - beta2) * g * g;
    mean[i] = m;
    square[i] = v;
    param[i] = shrink * param[i] - rate * m / (sqrt(v) / root + eps);
  });
}

#define INSTANTIATE(T)                                                         \
  template Status sgd_update(Stream, const SgdStep&, const T*, T*, T*, Index); \
  template Status adam_update(Stream, const AdamStep&, const T*, T*, T*, T*, Index);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tenon::cuda::kernels
