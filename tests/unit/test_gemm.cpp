// The packed matrix product against the triple loop, on every instruction set of this processor.
#include "close.hpp"
#include "each_isa.hpp"
#include "tenon/backend/cpu/gemm.hpp"
#include "threads_scope.hpp"

using namespace tenon;
using testing::error_of;

namespace {

// Sizes on both sides of the tile, the block of rows and the depth of packing.
template <class T>
void compare(double tolerance) {
  Rng rng(1);
  // m, n, k. The last four have few rows, all of which are copied once. Before them: of the last nine five are read in
  // place, over several panels and depths, or have rows 4 KB apart, and four are copied where they are transposed or
  // far apart; the four before those are dot products where B is transposed. Six have one to four rows more than whole
  // tiles. Of those before the last, transposed, what comes next is asked for: in place, between copied strips, and not
  // at all. The eighth and the last are so wide that the first strip copies B for the others.
  const std::vector<std::array<Index, 3>> sizes{
      {1, 1, 1},        {1, 33, 7},     {15, 1, 300},    {14, 32, 256},  {13, 31, 255},   {29, 65, 257},
      {113, 17, 5},     {31, 1056, 60}, {7, 530, 40},    {5, 6, 0},      {120, 260, 513}, {1, 33, 70},
      {2, 19, 64},      {3, 4, 131},    {8, 100, 200},   {5, 192, 600},  {18, 208, 257},  {128, 128, 300},
      {40, 10, 1024},   {100, 150, 70}, {49, 264, 330},  {1, 200, 20},   {140, 320, 40},  {49, 64, 300},
      {50, 130, 40},    {20, 200, 33},  {25, 16, 70},    {100, 144, 20}, {40, 16, 50},    {64, 64, 300},
      {110, 140, 300},  {200, 48, 300}, {140, 560, 40},  {401, 72, 520}, {410, 300, 600}, {403, 45, 530},
      {404, 1024, 260}, {24, 520, 160}, {64, 1032, 576}, {65, 512, 64},  {250, 584, 528}};
  for (const auto& size : sizes) {
    const Index m = size[0], n = size[1], k = size[2];
    const Index depth = std::max<Index>(k, 1);  // with no depth at all there is still an operand to point at
    const auto a = Tensor<T>::uniform({m, depth}, rng, -1, 1), b = Tensor<T>::uniform({depth, n}, rng, -1, 1);
    const auto c = Tensor<T>::uniform({m, n}, rng, -1, 1);
    for (int form = 0; form < 4; ++form) {
      for (const auto& scale : {std::pair{1.0, 0.0}, {1.0, 1.0}, {-0.5, 2.0}}) {
        const double alpha = scale.first, beta = scale.second;
        const GemmGeometry g{.m = m,
                             .n = n,
                             .k = k,
                             .transpose_a = (form & 1) != 0,
                             .transpose_b = (form & 2) != 0,
                             .alpha = alpha,
                             .beta = beta};
        auto expected = c.clone();
        cpu::gemm_reference(g, a.data(), b.data(), expected.data());
        testing::each_isa([&](auto isa, const char* name) {
          auto found = c.clone();
          if (beta == 0) found.fill_(std::numeric_limits<T>::quiet_NaN());  // must not be read
          cpu::gemm_on<T, decltype(isa)>(g, a.data(), b.data(), found.data());
          CHECK_MESSAGE(error_of(found, expected) <= tolerance, name, " ", m, "x", n, "x", k, " form ", form,
                        " alpha ", alpha, " beta ", beta);
        });
        auto found = c.clone();
        cpu::gemm(g, a.data(), b.data(), found.data());
        CHECK_MESSAGE(error_of(found, expected) <= tolerance, m, "x", n, "x", k, " form ", form);
      }
    }
  }
}

}  // namespace

TEST_CASE("gemm: double") { compare<double>(1e-13); }
TEST_CASE("gemm: float") { compare<float>(1e-5); }

TEST_CASE("gemm: batches, with repeated operands") {
  Rng rng(2);
  const auto a = Tensor<double>::uniform({3, 9, 11}, rng), b = Tensor<double>::uniform({11, 8}, rng);
  Tensor<double> found({3, 9, 8}), expected({3, 9, 8});
  const GemmGeometry g{.m = 9, .n = 8, .k = 11, .batch = 3, .stride_a = 99, .stride_b = 0, .stride_c = 72};
  cpu::gemm(g, a.data(), b.data(), found.data());
  GemmGeometry one = g;
  one.batch = 1;
  for (Index i = 0; i < 3; ++i) {
    cpu::gemm_reference(one, a.data() + 99 * i, b.data(), expected.data() + 72 * i);
  }
  CHECK(error_of(found, expected) < 1e-14);
}

// From some size on, whole tiles are stored past the caches; what the last strip lacks is not.
TEST_CASE("gemm: a result that the caches cannot hold") {
  Rng rng(4);
  const auto big = [&]<class T>(T, Index m, Index n) {
    const GemmGeometry g{.m = m, .n = n, .k = 9};
    REQUIRE(cpu::streams(static_cast<const T*>(nullptr), m * n));
    const auto a = Tensor<T>::uniform({m, g.k}, rng, -1, 1), b = Tensor<T>::uniform({g.k, n}, rng, -1, 1);
    Tensor<T> expected({m, n});
    cpu::gemm_reference(g, a.data(), b.data(), expected.data());
    testing::each_isa([&](auto isa, const char* name) {
      auto found = Tensor<T>::full({m, n}, std::numeric_limits<T>::quiet_NaN());
      cpu::gemm_on<T, decltype(isa)>(g, a.data(), b.data(), found.data());
      CHECK_MESSAGE(error_of(found, expected) <= 1e-6, name, " ", m, "x", n);
    });
  };
  big(0.0F, 16391, 256);
  big(0.0F, 65539, 64);
  big(0.0, 16391, 128);
}

// Sizes at which threads take stripes, parts of the rows or both, with B packed and where it lies.
TEST_CASE("gemm: the same bits with any number of threads") {
  Rng rng(3);
  for (const auto& [m, n, k] : {std::array<Index, 3>{257, 301, 600},
                                {31, 1100, 300},
                                {700, 33, 515},
                                {64, 1088, 600},
                                {64, 1096, 592},
                                {4000, 520, 20},
                                {90, 90, 300}}) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      const GemmGeometry g{.m = m, .n = n, .k = k, .transpose_a = transposes % 2 == 1, .transpose_b = transposes > 1};
      const auto a = Tensor<float>::uniform({m, k}, rng, -1, 1), b = Tensor<float>::uniform({k, n}, rng, -1, 1);
      const auto product = [&](int threads) {
        const testing::ThreadScope scope(threads);
        Tensor<float> c({g.m, g.n});
        cpu::gemm(g, a.data(), b.data(), c.data());
        return c;
      };
      const auto one = product(1);
      for (const int threads : {2, 3, 16})
        CHECK_MESSAGE(testing::same_bits(one, product(threads)), g.m, "x", g.k, "x", g.n, " on ", threads);
    }
  }
}

// Rows of 40 values are three lines, the last one not whole; those one after the other are one row.
TEST_CASE("gemm: what comes next is asked for once, line by line") {
  constexpr Index line = 16;
  std::vector<float> apart(5 * 96), joined(4 * 64);
  const auto lines_of = [](cpu::Ahead<float> next, Index at_a_time) {
    std::vector<const void*> lines;
    while (next.more()) {
      const cpu::AskedLines some = next.take(at_a_time);
      for (Index i = 0; i < at_a_time; ++i) lines.push_back(static_cast<const char*>(some.from) + i * some.step);
    }
    return lines;
  };
  const cpu::Ahead<float>::Rows first{apart.data(), 96, 40, 5}, then{joined.data(), 64, 64, 4};
  std::vector<const void*> expected;
  for (Index q = 0; q < 3; ++q) {
    for (Index r = 0; r < 5; ++r) expected.push_back(apart.data() + r * 96 + q * line);
  }
  for (Index q = 0; q < 16; ++q) expected.push_back(joined.data() + q * line);
  const auto lines = lines_of({first, then, 100}, 5);
  REQUIRE(lines.size() == 35);  // the last walk goes past the end
  CHECK(std::equal(expected.begin(), expected.end(), lines.begin()));
  // The fifth of five rows is in a walk of its own.
  CHECK(lines_of({first, {}, 100}, 2).size() == 18);
  CHECK(lines_of({{}, then, 100}, 4) == std::vector<const void*>(expected.begin() + 15, expected.end()));
  CHECK(!cpu::Ahead<float>({}, {}, 100).more());
}
