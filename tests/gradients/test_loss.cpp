#include "check_ops.hpp"

using namespace tenon;

TEST_CASE("gradients: losses") { testing::check_gradients(testing::loss_ops<double, Cpu>()); }
