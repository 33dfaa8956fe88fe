// Differentiable moves of tensors whose tokens ranks share. Each has its adjoint as its gradient.
#pragma once

#include "autograd/tape.h"
#include "distributed/communicator.h"
#include "distributed/token_layout.h"

namespace heed {

/// All ranks' tokens in the order of the sequence: x [..., n, ...] with tokens along `dim` ->
/// [..., N, ...]. All-gather; its gradient is a reduce-scatter.
Tensor gather_tokens(const Tensor& x, int dim, Communicator& ranks, TokenLayout layout);

/// This rank's heads of all tokens, from all heads of its tokens: x [B, H, n, D] -> [B, H / N, L,
/// D]. All-to-all, like its gradient. H must be a multiple of the ranks.
Tensor tokens_to_heads(const Tensor& x, Communicator& ranks, TokenLayout layout);
/// The way back.
Tensor heads_to_tokens(const Tensor& x, Communicator& ranks, TokenLayout layout);

}  // namespace heed
