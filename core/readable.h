// Numbers, durations and names as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace heed {

/// 1003854 -> "1,003,854".
std::string grouped(int64_t value);
/// Three significant digits with a suffix: 812, 81.2k, 1.23M, 4.50G, 1.20T.
std::string compact(double value);
/// 0.0123 -> "12.3 ms", 8.2 -> "8.2 s", 72 -> "1 min 12 s", 7380 -> "2 h 03 min".
std::string duration_text(double seconds);
/// Four significant digits: 2.413, 0.0001, 1e-06.
std::string number_text(double value);
/// bits_per_byte -> "bits per byte".
std::string spaced(std::string name);
/// bits_per_byte -> "Bits per byte".
std::string titled(const std::string& name);

}  // namespace heed
