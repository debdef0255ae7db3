// The matrix products of kernel_speed.cpp in Eigen.
#include <Eigen/Core>

#include "../cases.hpp"

int main(int argc, char** argv) {
  bool version = false;
  const auto options = bench::read_options(argc, argv, "Times Eigen",
                                           [&](CLI::App& app) { app.add_flag("--version", version); });
  if (version) std::printf("Eigen %d.%d.%d\n", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION);
  Eigen::setNbThreads(options.threads);
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  for (const auto& c : options.cases) {
    if (c.work != bench::Work::gemm) continue;
    const Matrix a = Matrix::Random(c.gemm.m, c.gemm.k), b = Matrix::Random(c.gemm.k, c.gemm.n);
    Matrix y(c.gemm.m, c.gemm.n);
    bench::report(c, options, [&] { y.noalias() = a * b; });
  }
}
