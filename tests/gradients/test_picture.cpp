#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: picture") { testing::check_gradients(testing::picture_ops<double, Cpu>()); }
