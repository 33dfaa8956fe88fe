#include "nn/attention/biased_attention.h"

#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"

namespace heed::nn {

Tensor biased_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        const Tensor& lengths, const AttentionSpec& spec) {
  const int64_t heads = q.size(1), queries = q.size(2), keys = k.size(2);
  HEED_CHECK(bias.shape() == (Shape{heads, queries, keys}),
             "attention: {} heads, {} queries, {} keys, but the bias is {}", heads, queries, keys,
             bias);
  HEED_CHECK(spec.score.alibi.empty(), "attention: a bias of scores and alibi slopes together");
  AttentionSpec how = spec;
  how.score.bias = unsqueeze(bias, 0);
  if (lengths.defined()) how.pattern = keys_within_lengths(spec.pattern, queries, lengths);
  return attention(q, k, v, how).out;
}

}  // namespace heed::nn
