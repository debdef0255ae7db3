#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: activation") { testing::check_gradients(testing::activation_ops<double, Cpu>()); }
