// Optimiser updates and random numbers.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

template <class T>
void check_updates() {
  const Index n = 1003;
  for (const bool nesterov : {false, true}) {
    for (const bool first : {false, true}) {
      const SgdStep s{.lr = 0.1,
                      .momentum = 0.9,
                      .dampening = nesterov ? 0 : 0.25,
                      .weight_decay = 0.01,
                      .nesterov = nesterov,
                      .first = first};
      parity::compare<T>({.name = text("sgd, nesterov ", nesterov, ", first ", first),
                          .inputs = {numbers(n, 71)},
                          .states = {numbers(n, 72), numbers(n, 73)}},
                         [&](auto d, const auto& in, const auto& out) {
                           using U = SgdUpdate<std::remove_cvref_t<decltype(*out[0])>>;
                           Backend<decltype(d)>::sgd_update(std::vector<U>{{s, in[0], out[0], out[1], n}});
                         });
    }
  }
  for (const bool decoupled : {false, true}) {
    const AdamStep s{.lr = 0.01,
                     .weight_decay = 0.1,
                     .correction1 = 1 - 0.9 * 0.9,
                     .correction2 = 1 - 0.999 * 0.999,
                     .decoupled = decoupled};
    parity::compare<T>(
        {.name = text("adam, decoupled ", decoupled),
         .inputs = {numbers(n, 74)},
         .states = {numbers(n, 75), numbers(n, 76, 0, 1), numbers(n, 77)}},
        [&](auto d, const auto& in, const auto& out) {
          using U = AdamUpdate<std::remove_cvref_t<decltype(*out[0])>>;
          Backend<decltype(d)>::adam_update(std::vector<U>{{s, in[0], out[0], out[1], out[2], n}});
        });
  }
  // Without momentum there is no velocity at all.
  const SgdStep plain{.lr = 0.1};
  parity::compare<T>({.name = "sgd without momentum", .inputs = {numbers(n, 71)}, .states = {numbers(n, 73)}},
                     [&](auto d, const auto& in, const auto& out) {
                       using U = SgdUpdate<std::remove_cvref_t<decltype(*out[0])>>;
                       Backend<decltype(d)>::sgd_update(std::vector<U>{{plain, in[0], nullptr, out[0], n}});
                     });
}

}  // namespace

TEST_CASE("optimiser updates") {
  if (!parity::device("optimiser updates")) return;
  check_updates<float>();
  check_updates<double>();
}

TEST_CASE("the same random numbers on both devices") {
  if (!parity::device("the same random numbers on both devices")) return;
  for (const Index n : {1, 6, 4001}) {
    Rng cpu(7, 3), gpu(7, 3);
    cpu.bits(), gpu.bits();  // a start that is not at a block
    CHECK(Tensor<float, Cuda>::uniform({n}, gpu).to_vector() ==
          Tensor<float, Cpu>::uniform({n}, cpu).to_vector());
    CHECK(gpu.state() == cpu.state());
    Tensor<float, Cpu> mask({n});
    Tensor<float, Cuda> gpu_mask({n});
    Backend<Cpu>::random_bernoulli(cpu.state(), 5, 0.3, 1.5, mask.data(), n);
    Backend<Cuda>::random_bernoulli(cpu.state(), 5, 0.3, 1.5, gpu_mask.data(), n);
    CHECK(gpu_mask.to_vector() == mask.to_vector());
  }
}
