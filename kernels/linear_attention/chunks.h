// How the tokens of linear attention are cut, and what its gates are.
#pragma once

#include <cstdint>

namespace heed::kernels::linear {

inline constexpr int64_t kChunk = 64;      // tokens
inline constexpr float kLeastLog = -1e4f;  // e to this is 0, and 64 of them are finite

enum class Gate { none, token, channel };

}  // namespace heed::kernels::linear
