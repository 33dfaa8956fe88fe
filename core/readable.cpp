#include "core/readable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace heed {

std::string grouped(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const int first = digits[0] == '-' ? 1 : 0;
  for (int i = static_cast<int>(digits.size()) - 3; i > first; i -= 3) {
    digits.insert(static_cast<size_t>(i), 1, ',');
  }
  return digits;
}

std::string compact(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  const char* suffixes[] = {"", "k", "M", "G", "T", "P"};
  int suffix = 0;
  while (std::abs(value) >= 999.5 && suffix < 5) {
    value /= 1000.0;
    ++suffix;
  }
  const double magnitude = std::abs(value);
  const int decimals = magnitude >= 99.95 || (suffix == 0 && value == std::floor(value)) ? 0
                       : magnitude >= 9.995                                              ? 1
                                                                                         : 2;
  return fmt::format("{:.{}f}{}", value, decimals, suffixes[suffix]);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  if (seconds < 0.0) seconds = 0.0;
  if (seconds < 0.9995) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string number_text(double value) { return fmt::format("{:.4g}", value); }

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string titled(const std::string& name) {
  std::string title = spaced(name);
  if (!title.empty()) {
    title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  }
  return title;
}

}  // namespace heed
