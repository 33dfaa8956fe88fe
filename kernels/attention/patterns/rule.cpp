#include "kernels/attention/patterns/rule.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/attention/pattern.h"

namespace heed {

std::string fingerprint(const void* data, size_t bytes) {
  // FNV-1a (Fowler, Noll, Vo), twice, from different starts.
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t a = 0xcbf29ce484222325u, b = 0x9ae16a3b2f90404fu;
  for (size_t i = 0; i < bytes; ++i) {
    a = (a ^ at[i]) * 0x100000001b3u;
    b = (b ^ at[i]) * 0x9e3779b97f4a7c15u;
  }
  return fmt::format("{:016x}{:016x}", a, b ^ (b >> 32));
}

std::string picture(const AttentionPattern& pattern, const PatternExtents& e, int64_t b, int64_t h,
                    int64_t width) {
  if (pattern.rule()) pattern.rule()->check(e);
  const int64_t step = std::max<int64_t>(1, (std::max(e.keys, e.queries) + width - 1) / width);
  std::string lines;
  for (int64_t i = 0; i < e.queries; i += step) {
    for (int64_t j = 0; j < e.keys; j += step) {
      int64_t seen = 0, all = 0;
      for (int64_t y = i; y < std::min(i + step, e.queries); ++y)
        for (int64_t x = j; x < std::min(j + step, e.keys); ++x, ++all)
          seen += pattern.allowed(b, h, y, x);
      lines += seen == 0 ? '.' : (seen == all ? '#' : '+');
    }
    lines += '\n';
  }
  return lines;
}

}  // namespace heed
