// What the keys beyond the border of a map add to the softmax when offsets have logits of their
// own.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "kernels/attention/pattern.h"

namespace heed::nn {

/// log sum of e^(sum over axes of logits_a[.., offset]) over the keys of each query's window that
/// lie beyond the map, [B, H, N] (f32; f64 for f64); -infinity where there are none. `logits`: for
/// each axis [B, H, N, 2 (block + 2 halo) - 1], entry `width - 1 + key - query` of the axis; the
/// first `globals` of the N queries have no window. Such keys are vectors of zeros, so that their
/// logit is that of the offset alone (HaloNet, arXiv 2103.12731).
Tensor virtual_key_logits(const std::vector<Tensor>& logits, const std::vector<HaloAxis>& axes,
                          int64_t globals);

}  // namespace heed::nn
