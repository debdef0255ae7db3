// Registers transposed and added up across, on each instruction set.
#include <doctest/doctest.h>

#include <vector>

#include "each_isa.hpp"
#include "tenon/backend/cpu/transpose.hpp"

using namespace tenon;

TEST_CASE_TEMPLATE("transpose: registers, and the totals of their lanes", T, float, double) {
  testing::each_isa([&](auto isa, const char* name) {
    using Isa = decltype(isa);
    constexpr int n = cpu::lanes_of<T, Isa>;
    std::vector<T> values, turned(n * n), totals(n);
    for (int i = 0; i < n * n; ++i) values.push_back(static_cast<T>(i * i % 97));
    cpu::CompiledFor<Isa>::run([&] {
      cpu::Vec<T, Isa> rows[n], same[n];
      for (int i = 0; i < n; ++i) {
        cpu::load<T, Isa>(values.data() + i * n, rows[i]);
        same[i] = rows[i];
      }
      cpu::transpose<T, Isa>(rows);
      cpu::total_lanes<T, Isa>(same);
      for (int i = 0; i < n; ++i) cpu::store<T, Isa>(rows[i], turned.data() + i * n);
      cpu::store<T, Isa>(same[0], totals.data());
    });
    for (std::size_t i = 0; i < n; ++i) {
      T sum = 0;
      for (std::size_t j = 0; j < n; ++j) {
        CHECK_MESSAGE(turned[j * n + i] == values[i * n + j], name, " row ", i, " column ", j);
        sum += values[i * n + j];
      }
      CHECK_MESSAGE(totals[i] == sum, name, " lane ", i);
    }
  });
}
