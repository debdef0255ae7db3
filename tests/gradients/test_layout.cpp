#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: layout") { testing::check_gradients(testing::layout_ops<double, Cpu>()); }
