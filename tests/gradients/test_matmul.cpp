#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: matmul") { testing::check_gradients(testing::matmul_ops<double, Cpu>()); }
