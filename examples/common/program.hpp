// What all programs share: the common options, and one clear line with exit status 2 when something is wrong.
#pragma once

#include <tenon/tenon.hpp>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

namespace programs {

struct CommonOptions {
  std::string data;           // empty: $TENON_DATA, or the built-in synthetic set
  std::string out = "out";
  std::string device = "cpu";
  std::uint64_t seed = 1;
  int threads = 0;            // 0: all cores, or TENON_NUM_THREADS
};

// The message for what is no number of 0 … 2^64-1; left alone, -1 would wrap around.
inline std::string whole_number(const std::string& argument) {
  std::uint64_t number = 0;
  const char* end = argument.data() + argument.size();
  const auto read = std::from_chars(argument.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? "" : argument + " is not a whole number from 0 to 2^64-1";
}

inline void add_common_options(CLI::App& app, CommonOptions& o) {
  app.add_option("--data", o.data, "Folder with the pictures (default: $TENON_DATA, else a synthetic set)");
  app.add_option("--out", o.out, "Folder for results, plots and report")->capture_default_str();
  app.add_option("--device", o.device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Start of all random numbers; the same seed gives the same run")
      ->check(whole_number, "UINT64")
      ->capture_default_str();
  app.add_option("--threads", o.threads, "Processor threads (0: all)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

// Seconds since the program began to work.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Prints what went wrong as one line: file names may hold any character.
inline void print_error(const CLI::App& app, const char* what) {
  std::string line = app.get_name() + ": " + what;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

// Parses the arguments and runs `work`. Bad arguments, and any error of the library, end with one line on
// standard error and status 2.
template <class Work>
int run_program(CLI::App& app, int argc, char** argv, const CommonOptions& common, Work&& work) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    print_error(app, e.what());
    return 2;
  }
  try {
    if (common.threads > 0) tenon::set_thread_count(common.threads);
    work();
    return 0;
  } catch (const std::exception& e) {
    print_error(app, e.what());
    return 2;
  }
}

}  // namespace programs
