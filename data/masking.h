// Masked language modelling's corruption of a text (Devlin et al., arXiv 1810.04805, section 3.1):
// of the tokens selected, most become the mask, some a random token, some stay; all are predicted.
#pragma once

#include "core/options.h"
#include "core/random.h"
#include "core/tensor.h"

namespace heed::data {

struct MaskingOptions {
  double select = 0.15;  ///< share of the tokens that are predicted
  double mask = 0.8;     ///< of those, share that become the mask
  double random = 0.1;   ///< and that become a token drawn evenly; the rest stay

  void options(Options& o);
};

struct Masked {
  Tensor inputs;      ///< i64 [B, N]
  Tensor targets;     ///< i64 [B, N]: the token where it is predicted, else kIgnoreTarget
  int64_t count = 0;  ///< targets that are not kIgnoreTarget
};

/// Corrupts ids i64 [B, N]. Row b is row `first_row` + b of the key's draws, so that what happens
/// to a row does not depend on the batch it is in. Of row b the first `lengths[b]` tokens take part
/// (all when undefined); of a row with tokens one at least is selected. Random tokens are below
/// `vocab`.
Masked mask_tokens(const Tensor& ids, const Tensor& lengths, int64_t vocab, int64_t mask_id,
                   const MaskingOptions& options, const RandomKey& key, int64_t first_row = 0);

}  // namespace heed::data
