// Exact nearest neighbours of random rows; a line a run: seconds.
// bench/knn_compare.py runs it beside the same work in scikit-learn and OpenCV.
#include <tenon/neighbors/knn.hpp>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>

int main(int argc, char** argv) {
  using namespace tenon;
  Index base = 100000, queries = 10000, d = 128, k = 5;
  Metric metric = Metric::l2;
  int threads = 1, runs = 1, warm = 1;
  const std::map<std::string, Metric> metrics{{"l2", Metric::l2},
                                              {"l1", Metric::l1},
                                              {"cosine", Metric::cosine},
                                              {"chi2", Metric::chi2},
                                              {"hellinger", Metric::hellinger}};
  CLI::App app("Times nearest-neighbour search", "knn_speed");
  app.add_option("--base", base)->check(CLI::PositiveNumber);
  app.add_option("--queries", queries)->check(CLI::PositiveNumber);
  app.add_option("--d", d)->check(CLI::PositiveNumber);
  app.add_option("--k", k)->check(CLI::PositiveNumber);
  app.add_option("--metric", metric)->transform(CLI::CheckedTransformer(metrics));
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--runs", runs)->check(CLI::PositiveNumber);
  app.add_option("--warm", warm, "runs before those that are shown")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  set_thread_count(threads);
  Rng rng(1);
  const auto x = Tensor<float>::uniform({base, d}, rng), q = Tensor<float>::uniform({queries, d}, rng);
  for (int run = -warm; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const auto found = knn_search(x, q, {.k = k, .metric = metric});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (run >= 0) std::printf("%.4f\n", seconds);
  }
}
