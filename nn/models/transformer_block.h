// The residual block of encoders and vision transformers: attention and a feed-forward layer, each
// in a branch f with y = dropout, layer scale and stochastic depth of f, and normalised either
// before its branch or after the addition:
//   norm first:  x = x + attention(norm1(x));   x = x + mlp(norm2(x))      (arXiv 2002.04745)
//   norm last:   x = norm1(x + attention(x));   x = norm2(x + mlp(x))      (Vaswani et al. 2017)
// or with the normed stream in the stream's place, as Compact Transformers have it (arXiv
// 2104.05704):
//   norm first:  x = norm2(x + attention(norm1(x)));   x = x + mlp(x)
#pragma once

#include <memory>
#include <string>

#include "nn/attention/mechanism.h"
#include "nn/layers/drop_path.h"
#include "nn/layers/dropout.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/norm.h"
#include "nn/models/block_stack.h"

namespace heed::nn {

/// What a host model fixes for one of its blocks.
struct TransformerBlockOptions {
  int64_t dim = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;  ///< 0: dim / heads
  int64_t hidden = 0;    ///< 0: the feed-forward layer's default
  std::string mlp = "gelu";
  std::string norm = "layer_norm";
  double norm_eps = 1e-5;
  bool norm_first = true;
  bool normed_stream = false;  ///< norm first: the second norm's result replaces the stream
  bool bias = true;            ///< in linear layers and layer norms
  bool qkv_bias = true;        ///< of `bias`, that of queries, keys and values
  bool out_bias = true;        ///< of `bias`, that of attention's projection back
  bool mlp_bias = true;        ///< of `bias`, that of the feed-forward layer
  bool causal = false;
  std::string position = "none";  ///< inside attention: "none" or "rotary"
  double dropout = 0.0;
  double attention_dropout = 0.0;
  double mlp_dropout = 0.0;  ///< of the feed-forward layer's hidden features
  double drop_path = 0.0;
  double layer_scale = 0.0;  ///< 0: none
  Init init = {};
  Init mlp_init = {};  ///< of the feed-forward layer's weights; none: `init`
  Config attention = {};
  int64_t layer = 0;
  int64_t layers = 1;
};

/// What the block asks of its attention.
AttentionHost attention_host(const TransformerBlockOptions& options);

struct TransformerBlock : Module {
  explicit TransformerBlock(const TransformerBlockOptions& options);

  /// The stream behind the block: with the norm first its last branch is still to be added, which
  /// the next norm does in its pass.
  Stream forward(const Stream& in, const AttentionContext& context);
  /// Forward floating-point operations on one sequence.
  double flops(int64_t tokens) const;

  std::unique_ptr<Norm> norm1, norm2;
  std::unique_ptr<AttentionMechanism> attn;
  std::unique_ptr<FeedForward> mlp;
  Dropout dropout1, dropout2;
  DropPath drop_path1, drop_path2;
  std::unique_ptr<LayerScale> scale1, scale2;  // or null

 private:
  bool norm_first_, normed_stream_;
};

}  // namespace heed::nn
