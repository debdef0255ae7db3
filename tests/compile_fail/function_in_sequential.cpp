// expect: tenon: Sequential takes modules; a function goes in as a struct with parts\(visit\)
#include "tenon/nn/nn.hpp"

using namespace tenon;

auto make(Rng& rng) {
#ifdef TENON_FIXED
  return nn::Sequential(nn::Linear({.in = 3, .out = 2}, rng), nn::ReLU{});
#else
  return nn::Sequential(nn::Linear({.in = 3, .out = 2}, rng), [](const auto& x) { return relu(x); });
#endif
}
