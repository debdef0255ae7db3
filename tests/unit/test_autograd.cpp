// The record of operations: accumulation, ends of life, errors. Derivatives are checked in gradients/.
#include "close.hpp"
#include "tenon/autograd/autograd.hpp"

using namespace tenon;
using testing::error_text;

namespace {

Var<double> leaf(std::initializer_list<double> values) {
  return Var<double>(Tensor<double>({static_cast<Index>(values.size())}, values), {.requires_grad = true});
}

std::size_t in_use() { return Backend<Cpu>::memory_stats().in_use; }

}  // namespace

TEST_CASE("backward: gradients add up over uses and over calls") {
  auto w = leaf({1, 2, 3});
  const auto y = sum(w * w) + sum(w);
  y.backward();
  CHECK(w.grad().to_vector() == std::vector<double>{3, 5, 7});
  sum(w * 2).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{5, 7, 9});
  w.zero_grad();
  CHECK_FALSE(w.grad().defined());
  (w * 3).backward(Tensor<double>({3}, {1, 0, -1}));
  CHECK(w.grad().to_vector() == std::vector<double>{3, 0, -3});
}

TEST_CASE("backward: a diamond visits each node once") {
  auto x = leaf({2});
  const auto a = x * 3;
  const auto b = a * a;      // 9x²
  const auto y = b * a + b;  // 27x³ + 9x²
  y.backward();
  CHECK(x.grad().item() == 81 * 4 + 18 * 2);
}

TEST_CASE("backward: the start gradient and shared gradients are not written to") {
  auto a = leaf({1, 2}), b = leaf({3, 4});
  const auto start = Tensor<double>::ones({2});
  (a + b).backward(start);
  (a + b).backward(start);
  CHECK(start.to_vector() == std::vector<double>{1, 1});
  CHECK(a.grad().to_vector() == std::vector<double>{2, 2});
  const auto kept = a.grad();
  (a * 1).backward(start);
  CHECK(kept.to_vector() == std::vector<double>{2, 2});
  CHECK(a.grad().to_vector() == std::vector<double>{3, 3});
  CHECK(b.grad().to_vector() == std::vector<double>{2, 2});
}

TEST_CASE("backward: only once, unless the graph is retained") {
  auto x = leaf({1, 2});
  const auto y = sum(x * x);
  y.backward({.retain_graph = true});
  y.backward();
  CHECK(x.grad().to_vector() == std::vector<double>{4, 8});
  CHECK(error_text<ValueError>([&] { y.backward(); }) ==
        "backward: part of this graph was already used; pass retain_graph the first time");
  const auto shared = x * 2;
  sum(shared).backward();
  CHECK_THROWS_AS(sum(shared * 3).backward(), ValueError);
}

TEST_CASE("backward: what is refused") {
  auto x = leaf({1, 2});
  CHECK(error_text<ShapeError>([&] { (x * 2).backward(); }) ==
        "backward: a result of shape (2) needs a gradient to start from; pass one, or reduce to one element");
  CHECK(error_text<ShapeError>([&] { (x * 2).backward(Tensor<double>::ones({3})); }) ==
        "accumulate: gradient of shape (3) for a value of shape (2)");
  CHECK(error_text<ValueError>([&] { sum(x.detach()).backward(); }) ==
        "backward: the result does not depend on anything that requires a gradient");
  CHECK(error_text<ValueError>([] { Var<double>().value(); }) == "Var: used before it was given a value");
  CHECK_THROWS_AS(Var<double>().backward(), ValueError);
  CHECK(error_text<ShapeError>([&] {
          x.set_grad(Tensor<double>::ones({1, 2}));
        }) == "set_grad: gradient of shape (1,2) for a value of shape (2)");
  auto y = x * 2;
  CHECK(error_text<ValueError>([&] { y.set_requires_grad(false); }) ==
        "set_requires_grad: this Var is the result of an operation, not a leaf");
}

TEST_CASE("accumulate: the one place for gradients refuses another shape and ignores constants") {
  auto x = leaf({1, 2});
  CHECK(error_text<ShapeError>([&] {
          x.accumulate(Tensor<double>::ones({2, 1}));
        }) == "accumulate: gradient of shape (2,1) for a value of shape (2)");
  x.accumulate(Tensor<double>::ones({2}));
  x.accumulate(Tensor<double>::ones({2}));
  CHECK(x.grad().to_vector() == std::vector<double>{2, 2});
  const Var<double> constant = Tensor<double>::ones({2});
  constant.accumulate(Tensor<double>::ones({5}));
  CHECK_FALSE(constant.grad().defined());
}

TEST_CASE("NoGrad: nothing is recorded, and only while it lives") {
  auto x = leaf({1});
  {
    const NoGrad guard;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE((x * 2).requires_grad());
    CHECK_FALSE(cast<float>(x).requires_grad());
    { const NoGrad inner; }
    CHECK_FALSE(grad_enabled());
  }
  CHECK((x * 2).requires_grad());
  CHECK_FALSE((x.detach() * 2).requires_grad());
}

TEST_CASE("constants: a Tensor takes part without a gradient") {
  auto x = leaf({1, 2});
  const Tensor<double> c({2}, {5, 6});
  sum(c * x - x / c + (c + x)).backward();
  CHECK(x.grad().data()[0] == doctest::Approx(5 - 0.2 + 1));
  auto frozen = leaf({1, 1});
  frozen.set_requires_grad(false);
  sum(x * frozen).backward();
  CHECK_FALSE(frozen.grad().defined());
}

TEST_CASE("cast: a graph of two scalar types") {
  // The walks over Var<float> and Var<double> graphs share their nodes, so they must not share marks.
  for (int round = 0; round < 3; ++round) {
    Var<float> w(Tensor<float>({2}, {1, 2}), {.requires_grad = true});
    const auto wide = cast<double>(w * 3.0f);
    sum(wide * wide).backward();
    CHECK(w.grad().to_vector() == std::vector<float>{18, 36});
    w.zero_grad();
    const auto narrow = cast<float>(cast<double>(w) * 2);
    sum(narrow).backward();
    CHECK(w.grad().to_vector() == std::vector<float>{2, 2});
  }
}

TEST_CASE("cast: walks begun from both types over one retained graph") {
  // Were marks counted for each type, some pair of walks would meet the same mark and miss the shared node.
  const auto walk = [](const auto& y) { y.backward({.retain_graph = true}); };
  Var<float> w(Tensor<float>({1}, {2}), {.requires_grad = true});
  const auto inner = w * 3.0f;
  const auto from_double = cast<double>(inner);
  const auto from_float = inner * 1.0f;
  const Var<float> other_float(Tensor<float>({1}, {1}), {.requires_grad = true});
  int missed = 0;
  for (int round = 0; round < 2000; ++round) {
    w.zero_grad();
    walk(from_double);
    walk(from_float);
    walk(from_double);
    missed += w.grad().item() != 9;
    for (int i = 0; i < (round < 1000 ? 2 : 0); ++i)
      walk(other_float);  // let one count pass the other, then fall behind
  }
  CHECK(missed == 0);
}

TEST_CASE("depth: a chain of 300,000 operations neither overflows the stack nor leaks") {
  const std::size_t before = in_use();
  {
    auto x = leaf({1});
    Var<double> y = x;
    for (int i = 0; i < 300000; ++i) y = y + 1;
    CHECK(y.item() == 300001);
    y.backward();
    CHECK(x.grad().item() == 1);
  }
  CHECK(in_use() == before);
  {  // and without a backward pass
    Var<double> y = leaf({1});
    for (int i = 0; i < 300000; ++i) y = y * 1.0;
  }
  CHECK(in_use() == before);
}

TEST_CASE("memory: backward frees the record as it goes") {
  auto x = Var<double>(Tensor<double>::ones({1 << 16}), {.requires_grad = true});
  const std::size_t before = in_use();
  const auto y = sum(exp(exp(exp(x))) * 1e-6);
  CHECK(in_use() > before);
  y.backward();
  x.zero_grad();
  CHECK(in_use() <= before + 4096);  // the scalar results
}

TEST_CASE("record: an exception in a step leaves nothing alive") {
  const std::size_t before = in_use();
  {
    auto x = leaf({1, 2});
    const auto bad = record(x.value() * 2, {x}, [](const Tensor<double>&) { fail<ValueError>("planted"); });
    const auto y = sum(bad * 3);
    CHECK(error_text<ValueError>([&] { y.backward(); }) == "planted");
  }
  CHECK(in_use() == before);
}
