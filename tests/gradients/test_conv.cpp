#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: conv") { testing::check_gradients(testing::conv_ops<double, Cpu>()); }
