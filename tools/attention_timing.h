// Times of one attention problem: heed's fused kernels, scores in memory, PyTorch's kernels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "kernels/attention/pattern.h"

namespace heed::tools {

struct AttentionShape {
  int64_t batch = 1, heads = 8, tokens = 1024, head_dim = 64;
  int64_t kv_heads = 0;  ///< 0: as many as heads
  DType dtype = DType::f32;
  Device device = kCpu;

  int64_t key_heads() const { return kv_heads > 0 ? kv_heads : heads; }
};

/// Seconds, the best of some runs (device_timing.h); 0: not measured.
struct AttentionTiming {
  double forward = 0.0, both = 0.0;
  int64_t forward_peak_bytes = 0, peak_bytes = 0;  ///< beyond the inputs; forward, and of all
};

/// The fused kernels, for about `seconds` each direction.
AttentionTiming time_fused(const AttentionShape& shape, const AttentionPattern& pattern,
                           double seconds);
/// Which kernels those are on a CUDA device: "sm_90a" or "portable"; empty on the CPU.
std::string fused_kernels_taken(const AttentionShape& shape, const AttentionPattern& pattern);
/// time_fused with the portable kernels of a CUDA device alone.
AttentionTiming time_portable(const AttentionShape& shape, const AttentionPattern& pattern,
                              double seconds);
/// Ways to compute an attention:
///   fused     the kernels; the others run on the CPU alone
///   masked    the scores of all pairs in memory, -infinity added where there is no pair (f32)
///   naive     a neighborhood's weights in memory, neighbour by neighbour (neighborhood_forms.h)
///   product   a neighborhood's weights in memory, by matrix products
const std::vector<std::string>& attention_forms();
/// `axes` of a neighborhood; empty for other patterns, which have no unfused form (a RequestError).
AttentionTiming time_form(const std::string& form, const AttentionShape& shape,
                          const AttentionPattern& pattern,
                          const std::vector<NeighborhoodAxis>& axes, double seconds);
/// Largest difference of two forms' output and gradients of q, k and v (these two where heads do
/// not share them), each relative to its largest element.
double form_difference(const std::string& form, const std::string& other,
                       const AttentionShape& shape, const AttentionPattern& pattern,
                       const std::vector<NeighborhoodAxis>& axes);

struct PyTorchTimings {
  std::string version;
  AttentionTiming pattern;  ///< with is_causal or a boolean mask
  AttentionTiming dense;
  std::string kernel;   ///< that was fastest for the pattern, forward and backward; of a device
  bool masked = false;  ///< whether by a mask
};

/// scaled_dot_product_attention on the same device (on a GPU the fastest of its kernels: flash,
/// cuDNN's, memory-efficient) or on as many threads, by a child process of `python`. Nothing, and
/// the reason in `note`, where that Python or its torch cannot be had. `dense`: of an earlier
/// measurement, instead of one more; may be null.
std::optional<PyTorchTimings> time_pytorch(const std::string& python, const AttentionShape& shape,
                                           const AttentionPattern& pattern, double seconds,
                                           const AttentionTiming* dense, std::string* note);

}  // namespace heed::tools
