// Operators against PyTorch: outputs and every gradient, in double.
#include "golden/golden.hpp"

using namespace tenon;
using golden::Case;

namespace {

using Leaf = Var<double>;

// A case of one input x, or of two, a and b.
template <class F>
std::function<void(Case&)> unary(F f) {
  return [f](Case& c) { c.agrees(f(c.leaf("x"))); };
}

template <class F>
std::function<void(Case&)> binary(F f) {
  return [f](Case& c) {
    const auto a = c.leaf("a"), b = c.leaf("b");
    c.agrees(f(a, b));
  };
}

ReduceOptions reduction(const Case& c) {
  return {.axes = c.option<std::vector<int>>("axes"), .keepdim = c.option<bool>("keep")};
}

void pad_case(Case& c) {
  const auto before = c.option<std::vector<Index>>("before"), after = c.option<std::vector<Index>>("after");
  std::vector<Padding> padding;
  for (std::size_t d = 0; d < before.size(); ++d) padding.push_back({before[d], after[d]});
  c.agrees(pad(c.leaf("x"), padding, c.option<double>("value")));
}

void concat_case(Case& c) {
  const auto x = c.leaf("a"), y = c.leaf("b"), z = c.leaf("c");
  c.agrees(concat(std::vector{x, y, z}, c.option<int>("axis")));
}

}  // namespace

TEST_CASE("the stream of random numbers is the generator's") {
  const golden::File file("operators.safetensors");
  const auto expected = file["stream"];
  CHECK(golden::relative_error(golden::values(7, expected.shape()), expected) == 0);
}

TEST_CASE("operators agree with PyTorch") {
  golden::run_cases(
      "operators.safetensors", 1e-13,
      {{"relu", unary([](Leaf x) { return relu(x); })},
       {"leaky_relu", unary([](Leaf x) { return leaky_relu(x, 0.01); })},
       {"sigmoid", unary([](Leaf x) { return sigmoid(x); })},
       {"tanh", unary([](Leaf x) { return tanh(x); })},
       {"gelu", unary([](Leaf x) { return gelu(x); })},
       {"gelu_tanh", unary([](Leaf x) { return gelu(x, GeluForm::tanh); })},
       {"silu", unary([](Leaf x) { return silu(x); })},
       {"softplus", unary([](Leaf x) { return softplus(x); })},
       {"exp", unary([](Leaf x) { return exp(x); })},
       {"log", unary([](Leaf x) { return log(x); })},
       {"abs", unary([](Leaf x) { return abs(x); })},
       {"neg", unary([](Leaf x) { return -x; })},
       {"square", unary([](Leaf x) { return square(x); })},
       {"sqrt", unary([](Leaf x) { return sqrt(x); })},
       {"reciprocal", unary([](Leaf x) { return 1 / x; })},
       {"sin", unary([](Leaf x) { return sin(x); })},
       {"cos", unary([](Leaf x) { return cos(x); })},
       {"pow", [](Case& c) { c.agrees(pow(c.leaf("x"), c.option<double>("exponent"))); }},
       {"clamp",
        [](Case& c) { c.agrees(clamp(c.leaf("x"), c.option<double>("low"), c.option<double>("high"))); }},
       {"add", binary([](Leaf a, Leaf b) { return a + b; })},
       {"sub", binary([](Leaf a, Leaf b) { return a - b; })},
       {"mul", binary([](Leaf a, Leaf b) { return a * b; })},
       {"div", binary([](Leaf a, Leaf b) { return a / b; })},
       {"maximum", binary([](Leaf a, Leaf b) { return maximum(a, b); })},
       {"minimum", binary([](Leaf a, Leaf b) { return minimum(a, b); })},
       {"matmul", binary([](Leaf a, Leaf b) { return matmul(a, b); })},
       {"softmax", [](Case& c) { c.agrees(softmax(c.leaf("x"), c.option<int>("axis"))); }},
       {"log_softmax", [](Case& c) { c.agrees(log_softmax(c.leaf("x"), c.option<int>("axis"))); }},
       {"sum", [](Case& c) { c.agrees(sum(c.leaf("x"), reduction(c))); }},
       {"mean", [](Case& c) { c.agrees(mean(c.leaf("x"), reduction(c))); }},
       {"max", [](Case& c) { c.agrees(max(c.leaf("x"), reduction(c))); }},
       {"min", [](Case& c) { c.agrees(min(c.leaf("x"), reduction(c))); }},
       {"pad", pad_case},
       {"concat", concat_case},
       {"permute", [](Case& c) { c.agrees(permute(c.leaf("x"), c.option<std::vector<int>>("axes"))); }},
       {"slice",
        [](Case& c) {
          c.agrees(slice(c.leaf("x"), 0, {.begin = c.option<Index>("begin"), .end = c.option<Index>("end")}));
        }},
       {"reshape",
        [](Case& c) { c.agrees(reshape(c.leaf("x"), golden::shape_of(c.option<io::Json>("shape")))); }}});
}
