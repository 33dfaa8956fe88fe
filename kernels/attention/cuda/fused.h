// Fused attention on CUDA devices: portable kernels (FlashAttention-2, arXiv 2307.08691, mma.sync,
// sm_80 and up), and kernels for sm_90a (FlashAttention-3, arXiv 2407.08608, wgmma and the copy
// engine) for the calls that fit these.
#pragma once

#include "kernels/attention/attention.h"

namespace heed::kernels::attn {

/// Whether the fused kernels take the call: bf16 up to a width of 256, f32 up to 128, and no
/// gradient of a score's tensor is wanted.
bool fits_fused_cuda(const Tensor& q, const Tensor& v, const AttentionSpec& spec,
                     const ScoreWants& wants = {});

/// Which kernels are taken: those for sm_90a wherever they fit, or the portable ones alone.
enum class FusedKernels { automatic, portable };

/// HEED_ATTENTION_KERNEL of the environment (auto, portable; default: auto), or what a
/// UseFusedKernels says. Throws for other words.
FusedKernels fused_kernels();

/// While it lives, the process takes these.
class UseFusedKernels {
 public:
  explicit UseFusedKernels(FusedKernels kernels);
  ~UseFusedKernels();
  UseFusedKernels(const UseFusedKernels&) = delete;
  UseFusedKernels& operator=(const UseFusedKernels&) = delete;

 private:
  int before_;
};

/// Whether the kernels for sm_90a take the forward pass of a call that fits_fused_cuda: on a device
/// of compute capability 9.0, bf16, a width up to 128 (256 where the score is a positive scale and
/// there is no dropout), rows that are aligned to 16 bytes and not broadcast, and no parts of the
/// keys (decoding). Backward: a width up to 128; dK and dV of widths over 64 are the portable
/// kernel's where the score has more than that.
bool takes_hopper(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec);

/// As kernels::attention and kernels::attention_backward, for calls that fit.
AttentionOutput fused_cuda_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionSpec& spec);
AttentionGradients fused_cuda_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q,
                                       const Tensor& k, const Tensor& v,
                                       const AttentionOutput& forward, const AttentionSpec& spec,
                                       bool want_q, bool want_kv, AttentionGradients into);

}  // namespace heed::kernels::attn
