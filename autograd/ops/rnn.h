// Differentiable recurrent layers over whole sequences; kernels/rnn/rnn.h has the formulas.
#pragma once

#include <vector>

#include "autograd/tape.h"

namespace heed {

/// One direction's parameters, in PyTorch's order of gates: r, z, n (gru, G = 3) or i, f, g, o
/// (lstm, G = 4).
struct RnnWeights {
  Tensor weight_ih;  // [G H, C]
  Tensor weight_hh;  // [G H, H]
  Tensor bias_ih;    // [G H] or undefined
  Tensor bias_hh;    // [G H] or undefined
};

struct RnnOptions {
  std::vector<int64_t>
      lengths;           ///< steps of each row, for ragged batches padded on the right; empty: all
  bool reverse = false;  ///< run from each row's last step to its first
  Tensor counts = {};    ///< the tensor that lengths were read from, for a trace's listener alone
};

struct RnnResult {
  Tensor out;         // [B, N, H] in x's dtype; 0 past a row's length
  Tensor state;       // [B, H] after the last step of each row
  Tensor cell_state;  // [B, H] (lstm)
};

/// Gated recurrent unit: x [B, N, C], h0 [B, H] or undefined (zeros). Products of bf16 activations
/// run in f32 within the recurrence.
RnnResult gru(const Tensor& x, const RnnWeights& weights, const RnnOptions& options = {},
              const Tensor& h0 = {});

/// Long short-term memory; c0 like h0.
RnnResult lstm(const Tensor& x, const RnnWeights& weights, const RnnOptions& options = {},
               const Tensor& h0 = {}, const Tensor& c0 = {});

}  // namespace heed
