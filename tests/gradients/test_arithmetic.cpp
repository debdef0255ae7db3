#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: arithmetic") { testing::check_gradients(testing::arithmetic_ops<double, Cpu>()); }
