// Beam search: of all texts that an encoder-decoder may write, the likeliest that can be found by
// following a few at once.
#pragma once

#include "nn/models/encoder_decoder.h"

namespace heed::nn {

struct BeamOptions {
  int64_t beams = 4;
  int64_t tokens = 64;  ///< at most
  int64_t end = -1;     ///< the id that ends a text; -1: none
  /// Texts are compared by log p / ((5 + length) / 6)^penalty (Wu et al., arXiv 1609.08144, eq.
  /// 14).
  double length_penalty = 0.6;
  int64_t ids = 0;  ///< ids from here on are never written; 0: all may be
};

/// For each row of ids [B, N] (`lengths` as in EncoderDecoder::encode) the best text found, i64
/// [B, T], T <= options.tokens; `end` fills what follows it. One beam
/// without a penalty takes the likeliest token each time. Of equal scores the first beam's smallest
/// id wins. Not recorded.
Tensor beam_search(EncoderDecoder& model, const Tensor& ids, const Tensor& lengths,
                   const BeamOptions& options);

}  // namespace heed::nn
