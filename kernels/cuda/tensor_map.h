// Tensor maps: what the copy engine of sm_90 knows of a tensor in device memory.
#pragma once

#include <cstdint>

namespace heed::kernels::cuda {

/// Opaque, as the driver writes it (CUtensorMap). A kernel takes it in a __grid_constant__
/// parameter.
struct alignas(64) TensorMap {
  uint64_t words[16];
};

/// A bf16 tensor of up to four dimensions [batch, head, row, column] with rows in one piece.
struct MappedTensor {
  const void* data = nullptr;  ///< aligned to 16 bytes
  int64_t columns = 0, rows = 0, heads = 0, batch = 0;
  int64_t row_stride = 0, head_stride = 0, batch_stride = 0;  ///< in elements, multiples of 8
};

/// Whether a map of it can be made: alignment, strides.
bool can_map(const MappedTensor& tensor);

/// The map whose boxes are `box_rows` rows (up to 256) by 64 columns, 128 bytes a row: piece p of
/// 16 bytes of row r lies at p ^ (r mod 8) ("128-byte swizzle"). Throws where the driver refuses.
TensorMap map_of(const MappedTensor& tensor, int box_rows);

}  // namespace heed::kernels::cuda
