#include "kernels/cuda/tensor_map.h"

namespace heed::kernels::cuda {

bool can_map(const MappedTensor& t) {
  constexpr int64_t kMost = int64_t{1} << 39;  // elements of two bytes: strides stay below 2^40
  const auto stride = [](int64_t extent, int64_t elements) {
    return extent == 1 || (elements > 0 && elements % 8 == 0 && elements < kMost);
  };
  return reinterpret_cast<uintptr_t>(t.data) % 16 == 0 && t.columns > 0 && t.rows > 0 &&
         t.heads > 0 && t.batch > 0 && stride(t.rows, t.row_stride) &&
         stride(t.heads, t.head_stride) && stride(t.batch, t.batch_stride);
}

}  // namespace heed::kernels::cuda
