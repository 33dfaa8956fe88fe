// What the .cu files of linear attention work on. Sums, states, decays and what is marked A are of
// the accumulation type of the dtype.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/linear_attention/chunks.h"

namespace heed::kernels {

/// The rows of a tensor [B, H, N, D]; strides in elements, of 1 within a row.
struct LinearRows {
  void* data;
  int64_t batch_stride, head_stride, row_stride;
};

/// A state for each sequence and border between chunks: [sequences, chunks + 1, rows, width], of
/// which [key_dim, value_dim] is used.
struct LinearStates {
  void* data;
  int64_t rows, width;
};

struct DeviceLinear {
  DType dtype;
  linear::Gate gate;
  int64_t batch, heads, tokens, key_dim, value_dim;
  LinearRows q, k, v;
  const void* log_decay;  ///< A [B, H, N] for a gate by token
  const void* decay;      ///< A [B, H, N, D], no logarithm, for a gate by channel
  LinearStates states;
  void* scaled;  ///< A [sequences, N, D], scratch where there is a gate
  void* totals;  ///< A [sequences, chunks, D], scratch where there is a gate

  HEED_HOST_DEVICE int64_t sequences() const { return batch * heads; }
  HEED_HOST_DEVICE int64_t chunks() const { return (tokens + linear::kChunk - 1) / linear::kChunk; }
};

/// The states' first border is filled in; the others and `out` are written.
struct DeviceLinearForward {
  DeviceLinear linear;
  LinearRows out;
};
extern DeviceKernel<void(const DeviceLinearForward&)> linear_forward_cuda;

/// The last border of `dstates` is filled in; the others and the gradients are written.
struct DeviceLinearBackward {
  DeviceLinear linear;
  LinearRows dout;
  LinearStates dstates;
  LinearRows dq, dk, dv;
  void *wide_dq, *wide_dk;  ///< A [sequences, N, D], scratch where there is a gate
  void* dlog_decay;         ///< A, like the gate; null without
};
extern DeviceKernel<void(const DeviceLinearBackward&)> linear_backward_cuda;

}  // namespace heed::kernels
