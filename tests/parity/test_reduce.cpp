// Reductions, argmax and softmax over shapes with one block, many blocks and several pieces.
#include "parity/parity.hpp"

using namespace tenon;
using parity::numbers;

namespace {

const std::vector<ReduceGeometry> shapes{{1, 1, 1},     {1, 9000, 1}, {1, 300001, 1}, {7, 13, 1},
                                         {3, 20001, 1}, {1, 517, 3},  {1, 5003, 6},   {2, 3001, 33},
                                         {5, 17, 129},  {300, 2, 5}};

template <class T, class Op>
void check_reduce(const std::string& name, Op op) {
  for (const auto& g : shapes) {
    const Index n = g.outer * g.n * g.inner;
    // Small enough for the longest sum to stay below half's largest value, 65504.
    parity::compare<T>(
        {.name = text(name, " of (", g.outer, ",", g.n, ",", g.inner, ")"),
         .inputs = {numbers(n, 11, 0, 0.125)},
         .outputs = {g.outer * g.inner}},
        [&](auto d, const auto& in, const auto& out) { Backend<decltype(d)>::reduce(op, g, in[0], out[0]); });
  }
}

template <class T>
void check_softmax() {
  for (const auto& [rows, columns] :
       std::vector<std::pair<Index, Index>>{{1, 1}, {3, 10}, {129, 10}, {17, 32}, {5, 1001}}) {
    const Index n = rows * columns;
    const auto name = [rows = rows, columns = columns](const char* op) {
      return text(op, " (", rows, ",", columns, ")");
    };
    const auto x = numbers(n, 21, -50, 50);
    parity::compare<T>({.name = name("softmax"), .inputs = {x}, .outputs = {n}, .slack = 2},
                       [&, rows = rows, columns = columns](auto d, const auto& in, const auto& out) {
                         Backend<decltype(d)>::softmax_forward(rows, columns, in[0], out[0]);
                       });
    parity::compare<T>({.name = name("log_softmax"), .inputs = {x}, .outputs = {n}},
                       [&, rows = rows, columns = columns](auto d, const auto& in, const auto& out) {
                         Backend<decltype(d)>::log_softmax_forward(rows, columns, in[0], out[0]);
                       });
    parity::compare<T>({.name = name("softmax backward"),
                        .inputs = {numbers(n, 22, 0, 1), numbers(n, 23)},
                        .outputs = {n},
                        .slack = 4},
                       [&, rows = rows, columns = columns](auto d, const auto& in, const auto& out) {
                         Backend<decltype(d)>::softmax_backward(rows, columns, in[0], in[1], out[0]);
                       });
    parity::compare<T>({.name = name("log_softmax backward"),
                        .inputs = {numbers(n, 22, -5, 0), numbers(n, 23)},
                        .outputs = {n},
                        .slack = 4},
                       [&, rows = rows, columns = columns](auto d, const auto& in, const auto& out) {
                         Backend<decltype(d)>::log_softmax_backward(rows, columns, in[0], in[1], out[0]);
                       });
  }
}

}  // namespace

TEST_CASE("reductions") {
  if (!parity::device("reductions")) return;
  check_reduce<float>("sum", fn::Sum{});
  check_reduce<float>("max", fn::Max{});
  check_reduce<float>("min", fn::Min{});
  check_reduce<double>("sum", fn::Sum{});
  check_reduce<half>("sum", fn::Sum{});
  check_reduce<bfloat16>("max", fn::Max{});
}

TEST_CASE("argmax: the first of equals, and a NaN before any number") {
  if (!parity::device("argmax: the first of equals, and a NaN before any number")) return;
  Rng rng(5);
  auto x = Tensor<float, Cpu>::uniform({37, 10, 3}, rng);
  for (float& v : x.span()) v = std::floor(v * 4);  // many ties
  x.at({3, 4, 1}) = x.at({3, 7, 1}) = std::numeric_limits<float>::quiet_NaN();
  for (const int axis : {0, 1, 2})
    CHECK(argmax(x.to<Cuda>(), axis).to_vector() == argmax(x, axis).to_vector());
}

TEST_CASE("softmax") {
  if (!parity::device("softmax")) return;
  check_softmax<float>();
  check_softmax<double>();
}
