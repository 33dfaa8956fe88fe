#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/readable.h"

namespace heed::tools {
namespace {

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == 0) continue;
    const std::string locale = value;
    return locale.find("UTF-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

int terminal_width(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// At most `width` characters of a UTF-8 text.
std::string clipped(const std::string& text, int width) {
  std::string out;
  int characters = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 && ++characters > width) break;
    out += c;
  }
  return out;
}

std::string bar(double fraction, int width, bool unicode) {
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * width);
  std::string out;
  for (int i = 0; i < width; ++i) {
    if (unicode) {
      out += i < full ? "━" : "─";
    } else {
      out += i < full ? '=' : ' ';
    }
  }
  return unicode ? out : "[" + out + "]";
}

}  // namespace

Progress::Progress(std::FILE* stream)
    : stream_(stream),
      terminal_(isatty(fileno(stream)) != 0),
      unicode_(locale_is_utf8()),
      pause_(2.0) {}

Progress::~Progress() { clear(); }

bool Progress::due(int64_t done, int64_t total) {
  const Clock::time_point now = Clock::now();
  const double waited = std::chrono::duration<double>(now - last_).count();
  const bool first = last_ == Clock::time_point{};
  if (!first && done < total && waited < (terminal_ ? 0.1 : pause_)) return false;
  if (!terminal_ && !first) pause_ = std::min(pause_ * 1.2, 30.0);  // long runs, short logs
  last_ = now;
  return true;
}

void Progress::update(const std::string& label, int64_t done, int64_t total,
                      const std::string& text) {
  if (!due(done, total)) return;
  const std::string count = fmt::format("{}/{}", grouped(done), grouped(total));
  if (!terminal_) {
    fmt::print(stream_, "{} {}  {}\n", label, count, text);
    std::fflush(stream_);
    return;
  }
  const int width = terminal_width(stream_);
  const double fraction = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0.0;
  const int bar_width = std::clamp(width - 70, 8, 30);
  const std::string line =
      fmt::format("{} {} {}  {}", label, bar(fraction, bar_width, unicode_), count, text);
  fmt::print(stream_, "\r{}\x1b[K", clipped(line, width - 1));
  std::fflush(stream_);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  fmt::print(stream_, "\r\x1b[K");
  std::fflush(stream_);
  drawn_ = false;
}

void Progress::line(const std::string& text) {
  clear();
  fmt::print(stream_, "{}\n", text);
  std::fflush(stream_);
}

double seconds_since_start() {
  // Field 22 of /proc/self/stat: start of the process in clock ticks since boot.
  std::ifstream file("/proc/self/stat");
  std::string stat((std::istreambuf_iterator<char>(file)), {});
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0.0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {
  }
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double started = std::strtod(field.c_str(), nullptr) / sysconf(_SC_CLK_TCK);
  return std::max(
      0.0, static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - started);
}

}  // namespace heed::tools
