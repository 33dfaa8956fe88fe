// Times of one attention problem: heed's fused kernels, scores in memory, PyTorch's kernels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/dtype.h"
#include "kernels/attention/pattern.h"

namespace heed::tools {

struct AttentionShape {
  int64_t batch = 1, heads = 8, tokens = 1024, head_dim = 64;
  int64_t kv_heads = 0;  ///< 0: as many as heads
  DType dtype = DType::f32;

  int64_t key_heads() const { return kv_heads > 0 ? kv_heads : heads; }
};

/// Seconds, the best of some runs; 0: not measured. With one thread, seconds of the processor.
struct AttentionTiming {
  double forward = 0.0, both = 0.0;
  int64_t peak_bytes = 0;  ///< beyond the inputs
};

/// The fused kernels, for about `seconds` each direction.
AttentionTiming time_fused(const AttentionShape& shape, const AttentionPattern& pattern,
                           double seconds);
/// Masked attention as it is often written: scores in memory, a mask of -infinity added to them
/// (forward, f32).
AttentionTiming time_materialised(const AttentionShape& shape, const AttentionPattern& pattern,
                                  double seconds);

struct PyTorchTimings {
  std::string version;
  AttentionTiming pattern;  ///< with is_causal or a boolean mask
  AttentionTiming dense;
  bool masked = false;  ///< whether by a mask
};

/// scaled_dot_product_attention on as many threads, by a child process of `python`. Nothing, and
/// the reason in `note`, where that Python or its torch cannot be had. `dense`: of an earlier
/// measurement, instead of one more; may be null.
std::optional<PyTorchTimings> time_pytorch(const std::string& python, const AttentionShape& shape,
                                           const AttentionPattern& pattern, double seconds,
                                           const AttentionTiming* dense, std::string* note);

}  // namespace heed::tools
