#include "kernels/random/philox_rows.h"

#include <algorithm>

namespace heed::kernels {

void philox_words(const RandomStream& stream, int64_t first, int64_t n, uint32_t* words) {
  for (int64_t i = 0; i < n; i += 4) {
    const auto block = stream.block(static_cast<uint64_t>((first + i) / 4));
    std::copy_n(block.begin(), std::min<int64_t>(4, n - i), words + i);
  }
}

}  // namespace heed::kernels
