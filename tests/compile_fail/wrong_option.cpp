// expect: (has no non-static data member named|field designator) 'learning_rate'
#include "tenon/optim/optim.hpp"

#ifdef TENON_FIXED
auto options() { return tenon::SgdOptions{.lr = 0.1}; }
#else
auto options() { return tenon::SgdOptions{.learning_rate = 0.1}; }
#endif
