// k-means on points read from a file of float32 numbers; a line a run: seconds and inertia.
// bench/kmeans_compare.py runs it beside the same work in scikit-learn.
#include <tenon/cluster/kmeans.hpp>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  std::string file, init = "given";
  tenon::Index n = 100000, d = 128, k = 400, iterations = 10;
  int threads = 1, runs = 1;
  CLI::App app("Times k-means", "kmeans_speed");
  app.add_option("file", file, "n x d numbers, float32")->required()->check(CLI::ExistingFile);
  app.add_option("--n", n)->check(CLI::PositiveNumber);
  app.add_option("--d", d)->check(CLI::PositiveNumber);
  app.add_option("--k", k)->check(CLI::PositiveNumber);
  app.add_option("--iterations", iterations)->check(CLI::PositiveNumber);
  app.add_option("--init", init, "given: the first k points")
      ->check(CLI::IsMember({"given", "greedy", "parallel"}));
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--runs", runs)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  using namespace tenon;
  set_thread_count(threads);
  Tensor<float> x({n, d});
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(x.data()), n * d * 4);
  for (int run = 0; run < runs; ++run) {
    Rng rng(static_cast<std::uint64_t>(run));
    KMeansOptions options{.k = k, .max_iterations = iterations, .tolerance = 0};
    if (init == "given") options.centers = x.rows(0, k).clone();
    options.init = init == "parallel" ? KMeansInit::parallel : KMeansInit::greedy_plus_plus;
    const auto start = std::chrono::steady_clock::now();
    const auto result = kmeans(x, options, rng);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%.4f %.6f\n", seconds, result.inertia);
  }
}
