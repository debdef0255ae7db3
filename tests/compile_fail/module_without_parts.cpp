// expect: tenon: a module needs a member parts\(visit\) that names its layers and parameters
#include "tenon/nn/nn.hpp"

using namespace tenon;

struct Net {
  nn::Linear<float> fc;

#ifdef TENON_FIXED
  void parts(auto&& visit) { visit("fc", fc); }
#endif
};

void train(Net& net) { nn::set_training(net, true); }
