// Progress on a terminal (one line that is redrawn) or in a log (plain lines now and then).
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace heed::tools {

class Progress {
 public:
  /// Draws on `stream`; whether that is a terminal decides the form.
  explicit Progress(std::FILE* stream);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool on_terminal() const { return terminal_; }

  /// "label [=====>    ] 120/2,000  text". On a terminal it replaces the line before (at most ten
  /// times a second); elsewhere it prints a line for the first, for the last, and every few seconds
  /// between.
  void update(const std::string& label, int64_t done, int64_t total, const std::string& text);
  /// A line that stays.
  void line(const std::string& text);
  /// Removes the redrawn line, so that others may write.
  void clear();

 private:
  bool due(int64_t done, int64_t total);

  using Clock = std::chrono::steady_clock;
  std::FILE* stream_;
  bool terminal_;
  bool unicode_;
  bool drawn_ = false;
  Clock::time_point last_{};
  double pause_;  // seconds between plain lines
};

/// Seconds since the process was started.
double seconds_since_start();

}  // namespace heed::tools
