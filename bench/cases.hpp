// What kernel_speed and its peers time: matrix products and convolutions, named on the command line, and how.
//
//   gemm:64x576x3136                    C (64,3136) = A (64,576)·B (576,3136), row-major
//   forward:8x56x56x64-64k3s1p1         convolution of (8,56,56,64) to 64 channels, 3×3, stride 1, padding 1
//   data:… weights:…                    its gradients with respect to x and to the weights
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <new>
#include <random>
#include <string>
#include <vector>

namespace bench {

enum class Work { gemm, forward, data, weights };

struct ConvShape {
  long n, h, w, c, o, k, stride, padding;

  long oh() const { return (h + 2 * padding - k) / stride + 1; }
  long ow() const { return (w + 2 * padding - k) / stride + 1; }
  long x_size() const { return n * h * w * c; }
  long w_size() const { return o * k * k * c; }
  long y_size() const { return n * oh() * ow() * o; }
  double flops() const { return 2.0 * static_cast<double>(y_size()) * static_cast<double>(k * k * c); }
  std::string text() const {
    char line[128];
    std::snprintf(line, sizeof line, "%ldx%ldx%ldx%ld-%ldk%lds%ldp%ld", n, h, w, c, o, k, stride, padding);
    return line;
  }
};

struct GemmShape {
  long m, k, n;

  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  }
  std::string text() const { return std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n); }
};

struct Case {
  Work work = Work::gemm;
  GemmShape gemm{};
  ConvShape conv{};

  double flops() const { return work == Work::gemm ? gemm.flops() : conv.flops(); }
  std::string text() const {
    static constexpr const char* names[] = {"gemm:", "forward:", "data:", "weights:"};
    return names[static_cast<int>(work)] + (work == Work::gemm ? gemm.text() : conv.text());
  }
};

inline std::vector<GemmShape> gemm_shapes() {
  return {{128, 128, 128}, {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}, {2048, 2048, 2048},
          {64, 576, 3136}, {256, 64, 3136}, {512, 4608, 49}, {16, 27, 1024}};
}

// Every distinct convolution of ResNet-50 at 224×224.
inline std::vector<ConvShape> resnet50_shapes(long batch) {
  std::vector<ConvShape> shapes = {{batch, 224, 224, 3, 64, 7, 2, 3}, {batch, 56, 56, 64, 64, 1, 1, 0}};
  for (long stage = 0, side = 56, width = 64; stage < 4; ++stage, width *= 2) {
    if (stage > 0) {  // the first block halves the picture in its 3×3 and in its shortcut
      shapes.push_back({batch, side, side, 2 * width, width, 1, 1, 0});
      shapes.push_back({batch, side, side, width, width, 3, 2, 1});
      shapes.push_back({batch, side, side, 2 * width, 4 * width, 1, 2, 0});
      side /= 2;
    }
    shapes.push_back({batch, side, side, width, width, 3, 1, 1});
    shapes.push_back({batch, side, side, width, 4 * width, 1, 1, 0});
    shapes.push_back({batch, side, side, 4 * width, width, 1, 1, 0});
  }
  return shapes;
}

// Every distinct convolution of ResNet-20 at 32×32.
inline std::vector<ConvShape> resnet20_shapes(long batch) {
  return {{batch, 32, 32, 3, 16, 3, 1, 1},  {batch, 32, 32, 16, 16, 3, 1, 1},
          {batch, 32, 32, 16, 32, 3, 2, 1}, {batch, 16, 16, 32, 32, 3, 1, 1},
          {batch, 16, 16, 32, 64, 3, 2, 1}, {batch, 8, 8, 64, 64, 3, 1, 1}};
}

inline std::vector<Case> gemm_cases() {
  std::vector<Case> cases;
  for (const auto& shape : gemm_shapes()) cases.push_back({.work = Work::gemm, .gemm = shape});
  return cases;
}

// The three directions of each; nobody needs the gradient of a picture.
inline std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  auto shapes = resnet50_shapes(8);
  for (const auto& shape : resnet20_shapes(128)) shapes.push_back(shape);
  for (const auto& shape : shapes) {
    for (const Work work : {Work::forward, Work::data, Work::weights}) {
      if (work != Work::data || shape.c != 3) cases.push_back({.work = work, .conv = shape});
    }
  }
  return cases;
}

inline Case parse_case(const std::string& word) {
  Case c;
  auto& g = c.gemm;
  auto& v = c.conv;
  char kind[9] = {};
  int used = 0;
  if (std::sscanf(word.c_str(), "gemm:%ldx%ldx%ld%n", &g.m, &g.k, &g.n, &used) == 3 &&
      word.size() == std::size_t(used)) {
    if (std::min({g.m, g.k, g.n}) > 0) return c;
  } else if (std::sscanf(word.c_str(), "%8[a-z]:%ldx%ldx%ldx%ld-%ldk%lds%ldp%ld%n", kind, &v.n, &v.h, &v.w,
                         &v.c, &v.o, &v.k, &v.stride, &v.padding, &used) == 9 &&
             word.size() == std::size_t(used)) {
    c.work = kind == std::string("forward") ? Work::forward
             : kind == std::string("data")  ? Work::data
                                            : Work::weights;
    if (std::min({v.n, v.h, v.w, v.c, v.o, v.k, v.stride, v.padding + 1, v.oh(), v.ow()}) > 0 &&
        c.text() == word) {
      return c;
    }
  }
  throw CLI::ValidationError("case",
                             word + " is neither gemm:MxKxN nor forward|data|weights:NxHxWxC-OkKsSpP");
}

struct Options {
  std::vector<Case> cases;
  int threads = 1;
  double seconds = 0.2;  // a case
  bool cpu_time = false, turns = false;
};

// Reads the command line, with what `more` adds to it; ends the program where that asks for it.
template <class More>
Options read_options(int argc, char** argv, const char* about, const More& more) {
  Options options;
  std::vector<std::string> words;
  CLI::App app(about);
  app.add_option("cases", words,
                 "gemm:MxKxN and forward|data|weights:NxHxWxC-OkKsSpP, or all of: gemm, conv");
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "time for each case")->check(CLI::PositiveNumber);
  app.add_flag("--cpu-time", options.cpu_time,
               "count the process's time on the processor: one thread, busy machine");
  app.add_flag("--turns", options.turns,
               "for each line of the input: time a slice of some milliseconds, print its GFLOP/s");
  bool list = false;
  app.add_flag("--list", list, "print the cases and end");
  more(app);
  try {
    app.parse(argc, argv);
    for (const auto& word : words) {
      if (word == "gemm" || word == "conv") {
        for (const auto& c : word == "gemm" ? gemm_cases() : conv_cases()) options.cases.push_back(c);
      } else {
        options.cases.push_back(parse_case(word));
      }
    }
  } catch (const CLI::ParseError& e) { std::exit(app.exit(e)); }
  if (list) {
    for (const auto& c : options.cases) std::puts(c.text().c_str());
    std::exit(0);
  }
  return options;
}
inline Options read_options(int argc, char** argv, const char* about) {
  return read_options(argc, argv, about, [](CLI::App&) {});
}

inline void fill(float* values, std::size_t count) {
  std::minstd_rand random(1);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(random() % 2001) / 1000 - 1;
}

// Memory that begins with a cache line, as the libraries' own does; a large std::vector begins 16 bytes after
// one, and then every wide register that is read or written lies in two.
template <class T>
struct LineAligned {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), alignment)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
  bool operator==(const LineAligned&) const = default;
};
using Numbers = std::vector<float, LineAligned<float>>;

inline Numbers numbers(long count) {
  Numbers values(static_cast<std::size_t>(count));
  fill(values.data(), values.size());
  return values;
}

// Runs step() for about the given time and prints the case and its GFLOP/s, at the median and at the fastest
// sample. Steps of microseconds are timed many at once. Or, with `turns`, one slice whenever it is told to.
template <class Step>
void report(const Case& c, const Options& options, const Step& step) {
  using Clock = std::chrono::steady_clock;
  const auto now = [&] {
    return options.cpu_time ? static_cast<double>(std::clock()) / CLOCKS_PER_SEC
                            : std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  };
  const auto timed = [&](long repeats) {
    const double start = now();
    for (long i = 0; i < repeats; ++i) step();
    return (now() - start) / static_cast<double>(repeats);
  };
  const auto repeats_of = [&](double slice) {
    timed(1);
    return std::max(1L, static_cast<long>(slice / std::max(1e-7, timed(1))));
  };
  if (options.turns) {
    long repeats = 0;
    for (std::string line; std::getline(std::cin, line);) {
      if (repeats == 0) repeats = repeats_of(3e-3);
      if (repeats > 1) step();  // caches and sleeping threads are not what is measured
      std::printf("%.1f\n", c.flops() / timed(repeats) / 1e9);
      std::fflush(stdout);
    }
    return;
  }
  const long repeats = repeats_of(200e-6);
  std::vector<double> samples;
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  while (samples.size() < 5 || Clock::now() < end) samples.push_back(timed(repeats));
  std::sort(samples.begin(), samples.end());
  std::printf("%s %.1f %.1f\n", c.text().c_str(), c.flops() / samples[samples.size() / 2] / 1e9,
              c.flops() / samples.front() / 1e9);
  std::fflush(stdout);
}

}  // namespace bench
