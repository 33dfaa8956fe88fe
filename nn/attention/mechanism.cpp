#include "nn/attention/mechanism.h"

namespace heed::nn {

void AttentionHost::options(Options& o) {
  o.field("dim", dim, "features of the input and output", {.min = 1, .required = true});
  o.field("heads", heads, "query heads", {.min = 1, .required = true});
  o.field("kv_heads", kv_heads, "key and value heads (grouped queries); 0 means as many as heads",
          {.min = 0});
  o.field("head_dim", head_dim, "features of a head; 0 means dim / heads", {.min = 0});
  o.field("causal", causal, "a token sees only itself and those before it");
  o.field("position", position, "positions inside attention",
          {.one_of = {"none", "rotary", "alibi"}});
  o.field("rope_base", rope_base, "rotary: ratio of the longest wavelength to the shortest",
          {.above = 0});
  o.field("rotary_dim", rotary_dim, "rotary: features of a head that rotate; 0 means all",
          {.min = 0});
  o.field("rope_interleaved", rope_interleaved, "rotary: pairs (2i, 2i+1), not (i, i + d/2)");
  o.field("rope_scaling", rope_scaling, "rotary: other frequencies, for longer contexts");
  o.field("bias", bias, "biases in the projections");
  o.field("qkv_bias", qkv_bias, "biases in the q, k, v projections even without `bias`");
  o.field("out_bias", out_bias, "a bias in the projection back even without `bias`");
  o.field("qk_norm", qk_norm, "RMS-normalise each head's queries and keys, with a learned scale");
  o.field("norm_eps", norm_eps, "qk_norm: added to the mean square", {.above = 0});
  o.field("dropout", dropout, "dropout of the attention probabilities", {.min = 0, .below = 1});
  o.check(kv_heads == 0 || heads % kv_heads == 0, "kv_heads",
          fmt::format("kv_heads ({}) must divide heads ({})", kv_heads, heads));
  o.check(head_dim > 0 || heads == 0 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({}) unless head_dim is given", heads, dim));
  const int64_t width = head_dim > 0 || heads < 1 ? head_dim : dim / heads;
  o.check(position != "rotary" || width % 2 == 0, "position",
          fmt::format("rotary positions need an even head_dim, got {}", width));
  o.check(rotary_dim % 2 == 0 && (rotary_dim <= width || width == 0), "rotary_dim",
          fmt::format("rotary_dim ({}) must be even and at most head_dim ({})", rotary_dim, width));
  o.check(position != "alibi" || causal, "position",
          "alibi biases distances to the past: it needs a causal model");
}

AttentionHost AttentionHost::resolved() const {
  AttentionHost host = *this;
  HEED_CHECK(dim > 0 && heads > 0, "attention: needs positive dim and heads, got {} and {}", dim,
             heads);
  if (host.kv_heads == 0) host.kv_heads = heads;
  HEED_CHECK(heads % host.kv_heads == 0, "attention: kv_heads ({}) must divide heads ({})",
             host.kv_heads, heads);
  if (host.head_dim == 0) {
    HEED_CHECK(dim % heads == 0, "attention: heads ({}) must divide dim ({})", heads, dim);
    host.head_dim = dim / heads;
  }
  HEED_CHECK(position != "rotary" || host.head_dim % 2 == 0,
             "attention: rotary positions need an even head_dim, got {}", host.head_dim);
  HEED_CHECK(host.rotary_dim % 2 == 0 && host.rotary_dim <= host.head_dim,
             "attention: rotary_dim ({}) must be even and at most head_dim ({})", host.rotary_dim,
             host.head_dim);
  return host;
}

void AttentionMechanism::split_heads(const TensorSplitPointer&) {
  fail_request("this attention mechanism does not share its heads among ranks");
}

}  // namespace heed::nn
