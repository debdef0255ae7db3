#include "check_ops.hpp"
#include "tenon/models/cifar_resnet.hpp"

using namespace tenon;

TEST_CASE("gradients: picture") { testing::check_gradients(testing::picture_ops<double, Cpu>()); }

TEST_CASE("gradients: the shortcut without parameters") {
  for (const Index stride : {1, 2, 3}) {
    const auto report = grad_check([=](const auto& x) { return models::detail::option_a(x[0], 8, stride); },
                                   {testing::drawn({2, 5, 4, 3}, 1)});
    CHECK_MESSAGE(report.ok, report.message);
  }
}

// A wrong derivative of a fused operation must be caught: here the mask of the rectifier is left out.
TEST_CASE("gradients: a planted mistake in normalisation with a rectifier") {
  const std::vector<Tensor<double>> inputs{testing::drawn({2, 5, 7, 3}, 201),
                                           testing::drawn({3}, 203, 0.5, 1.5), testing::drawn({3}, 204)};
  const auto report = grad_check(
      [](const auto& x) {
        const auto right = testing::detail::normalised(x, {.relu = true});
        const auto unmasked = testing::detail::normalised(x, {});
        return record(right.value(), {unmasked}, [=](const Tensor<double>& dy) { unmasked.accumulate(dy); });
      },
      inputs);
  CHECK_FALSE(report.ok);
}
