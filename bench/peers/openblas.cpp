// The matrix products of kernel_speed.cpp in OpenBLAS.
#include <cblas.h>

#include "../cases.hpp"

int main(int argc, char** argv) {
  bool version = false;
  const auto options = bench::read_options(argc, argv, "Times OpenBLAS",
                                           [&](CLI::App& app) { app.add_flag("--version", version); });
  if (version) {
    const std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 …"
    std::printf("%s\n", config.substr(0, config.find(' ', config.find(' ') + 1)).c_str());
  }
  openblas_set_num_threads(options.threads);
  for (const auto& c : options.cases) {
    if (c.work != bench::Work::gemm) continue;
    const int m = static_cast<int>(c.gemm.m), n = static_cast<int>(c.gemm.n), k = static_cast<int>(c.gemm.k);
    const auto a = bench::numbers(c.gemm.m * c.gemm.k), b = bench::numbers(c.gemm.k * c.gemm.n);
    auto y = bench::numbers(c.gemm.m * c.gemm.n);
    bench::report(c, options, [&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a.data(), k, b.data(), n, 0,
                  y.data(), n);
    });
  }
}
