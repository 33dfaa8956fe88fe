// Conversion of one element between any two dtypes, on host and device.
#pragma once

#include <limits>

#include "core/element.h"

namespace heed::kernels {

/// A float becomes the integer next to it towards zero, saturated (NaN: 0); a bool says "not zero".
template <class To, class From>
HEED_HOST_DEVICE To convert(From value) {
  constexpr bool from_half = std::is_same_v<From, bfloat16> || std::is_same_v<From, float16>;
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (from_half) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_same_v<To, bfloat16> || std::is_same_v<To, float16>) {
    return To(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    if (value != value) return 0;
    // 2^bits is exact in From, unlike the largest To
    constexpr From limit = static_cast<From>(uint64_t{1} << std::numeric_limits<To>::digits);
    if (value >= limit) return std::numeric_limits<To>::max();
    if (value < static_cast<From>(std::numeric_limits<To>::min())) {
      return std::numeric_limits<To>::min();
    }
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace heed::kernels
