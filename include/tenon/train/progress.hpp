// A progress bar for terminals: how far, how fast, how long still. Silent where standard error is not one.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "tenon/core/shape.hpp"

namespace tenon::train {

// Seconds as 7 s, 2 min 05 s or 3 h 12 min.
inline std::string duration_text(double seconds) {
  const auto whole = static_cast<Index>(seconds + 0.5);
  const auto two = [](Index n) { return text(n < 10 ? "0" : "", n); };
  if (whole < 60) return text(whole, " s");
  if (whole < 3600) return text(whole / 60, " min ", two(whole % 60), " s");
  return text(whole / 3600, " h ", two(whole % 3600 / 60), " min");
}

class ProgressBar {
 public:
  ProgressBar(std::string title, Index total) : title_(std::move(title)), total_(total), shown_(isatty(2) != 0) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` of the total items; redrawn ten times a second at most.
  void update(Index done) {
    if (!shown_) return;
    const auto now = Clock::now();
    if (done < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
    constexpr Index width = 30;
    const Index filled = total_ > 0 ? std::clamp<Index>(done * width / total_, 0, width) : width;
    const std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                            std::string(static_cast<std::size_t>(width - filled), '.');
    std::fprintf(stderr, "\r\033[K%s [%s] %td/%td  %.0f images/s  %s left", title_.c_str(), bar.c_str(), done, total_,
                 rate, duration_text(left).c_str());
  }

  void clear() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::string title_;
  Index total_;
  bool shown_;
  Clock::time_point start_ = Clock::now(), drawn_{};
};

}  // namespace tenon::train
