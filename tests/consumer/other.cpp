// The second translation unit: (count) -> 0, 1, 2, ...
#include <tenon/tenon.hpp>

tenon::Tensor<float, tenon::Cpu> counting(tenon::Index count) {
  tenon::Tensor<float, tenon::Cpu> x(tenon::Shape{count});
  for (tenon::Index i = 0; i < count; ++i) x.data()[i] = static_cast<float>(i);
  return x;
}
