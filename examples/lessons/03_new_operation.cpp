// Lesson 3. How do I add an operation of my own, and how do I know that its gradient is right?
//
// record() takes the value, the operands, and a function from the gradient of the result to the gradients of the
// operands. grad_check() then compares it with finite differences, and must be able to say no: so a wrong
// derivative is tried as well.
#include <tenon/tenon.hpp>

#include <cstdio>

// Swish (Ramachandran et al. 2017): y = x·s with s = sigmoid(x), so dy/dx = s + y·(1 - s). Any shape.
template <class T, class D>
tenon::Var<T, D> swish(const tenon::Var<T, D>& x) {
  const auto s = sigmoid(x.value());
  const auto y = x.value() * s;
  return record(y, {x}, [=](const tenon::Tensor<T, D>& dy) { x.accumulate(dy * (s + y * (1 - s))); });
}

template <class T, class D>
tenon::Var<T, D> wrong_swish(const tenon::Var<T, D>& x) {
  const auto s = sigmoid(x.value());
  return record(x.value() * s, {x}, [=](const tenon::Tensor<T, D>& dy) { x.accumulate(dy * s); });
}

int main() {
  using namespace tenon;
  Rng rng(2);
  const auto x = Tensor<double>::uniform({5, 7}, rng, -3, 3);
  const auto right = grad_check([](const auto& in) { return swish(in[0]); }, {x});
  const auto wrong = grad_check([](const auto& in) { return wrong_swish(in[0]); }, {x});
  std::printf("swish: largest error %.1e\n", right.worst);
  std::printf("with a term forgotten: %s\n", wrong.message.c_str());
  return right.ok && !wrong.ok ? 0 : 1;
}
