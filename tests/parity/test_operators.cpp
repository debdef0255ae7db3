// Every differentiable operation of the common list: its value and its gradients, from non-zero starts, on
// the GPU in float and double against the CPU in double.
#include "ops.hpp"
#include "parity/parity.hpp"

using namespace tenon;

namespace {

// The value, then the gradient of every input, for a random gradient of the value.
template <class T, class D>
std::vector<parity::Numbers> value_and_gradients(const testing::OpCase<T, D>& op) {
  const auto inputs = testing::leaves(op);
  for (const auto& x : inputs) x.accumulate(Tensor<T, D>::full(x.shape(), T(0.5)));
  const auto y = op.run(inputs);
  std::vector<parity::Numbers> found{y.value().template cast<double>().to_vector()};
  y.backward(testing::on_device<T, D>(testing::drawn(y.shape(), 99)));
  for (const auto& x : inputs) found.push_back(x.grad().template cast<double>().to_vector());
  return found;
}

template <class T>
void check_operators() {
  const auto gpu = testing::op_cases<T, Cuda>();
  const auto cpu = testing::op_cases<double, Cpu>();
  REQUIRE(gpu.size() == cpu.size());
  for (std::size_t i = 0; i < gpu.size(); ++i) {
    const auto actual = value_and_gradients(gpu[i]), expected = value_and_gradients(cpu[i]);
    REQUIRE(actual.size() == expected.size());
    for (std::size_t k = 0; k < actual.size(); ++k) {
      const double error = parity::relative_error(actual[k], expected[k]);
      const std::string seen =
          text(gpu[i].name, " in ", std::string_view(scalar_name<T>()), ", ",
               k == 0 ? std::string("value") : text("gradient ", k - 1), ": relative error ", error);
      CHECK_MESSAGE(!!(error <= 4 * parity::tolerance<T>), seen);
    }
  }
}

}  // namespace

TEST_CASE("differentiable operations") {
  if (!parity::device("differentiable operations")) return;
  check_operators<float>();
  check_operators<double>();
}
