// A piece of one tensor of a list.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heed::kernels {

struct Chunk {
  size_t tensor;
  int64_t begin, end;  ///< elements
};

inline constexpr int64_t kChunkElements = 16384;

}  // namespace heed::kernels
