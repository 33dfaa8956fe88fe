// Tensor maps by the driver, whose function the runtime finds: libcuda itself is not linked.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "core/cuda/check.h"
#include "kernels/cuda/tensor_map.h"

namespace heed::kernels::cuda {
namespace {

decltype(&cuTensorMapEncodeTiled) encode_function() {
  static const auto found = [] {
    constexpr unsigned kSince = 12000;  // CUDA 12.0
    void* function = nullptr;
    cudaDriverEntryPointQueryResult status{};
    heed::cuda::check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSince,
                                                       cudaEnableDefault, &status),
                      "find cuTensorMapEncodeTiled");
    if (status != cudaDriverEntryPointSuccess)
      heed::cuda::fail_op("the driver knows no tensor maps (cuTensorMapEncodeTiled)");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  return found;
}

}  // namespace

TensorMap map_of(const MappedTensor& t, int box_rows) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));
  // A dimension of one has no stride that counts, but the driver reads it.
  const auto bytes = [](int64_t extent, int64_t stride, uint64_t before) {
    return extent == 1 ? before : static_cast<uint64_t>(2 * stride);
  };
  const uint64_t row = bytes(t.rows, t.row_stride, static_cast<uint64_t>((t.columns + 7) / 8 * 16));
  const uint64_t head = bytes(t.heads, t.head_stride, row);
  const cuuint64_t strides[3] = {row, head, bytes(t.batch, t.batch_stride, head)};
  const auto extent = [](int64_t n) { return static_cast<cuuint64_t>(n); };
  const cuuint64_t extents[4] = {extent(t.columns), extent(t.rows), extent(t.heads),
                                 extent(t.batch)};
  const cuuint32_t box[4] = {64, static_cast<cuuint32_t>(box_rows), 1, 1}, steps[4] = {1, 1, 1, 1};
  CUtensorMap made;
  const CUresult result = encode_function()(
      &made, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<void*>(t.data), extents, strides, box,
      steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    const std::string message =
        "cuTensorMapEncodeTiled refused a tensor (CUresult " + std::to_string(result) + ")";
    heed::cuda::fail_op(message.c_str());
  }
  TensorMap map;
  std::memcpy(&map, &made, sizeof map);
  return map;
}

}  // namespace heed::kernels::cuda
