// The `attention:` slot: what a host model gives to a mechanism, and asks of it.
#pragma once

#include <string>

#include "core/options.h"
#include "kernels/attention/pattern.h"
#include "nn/attention/kv_cache.h"
#include "nn/layers/feed_forward.h"
#include "nn/layers/rotary.h"
#include "nn/module.h"
#include "nn/tensor_split.h"

namespace heed::nn {

/// The host's side of the slot: geometry and everything that is the same for all mechanisms.
struct AttentionHost {
  int64_t dim = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool causal = true;
  std::string position = "none";
  double rope_base = 10000.0;
  int64_t rotary_dim = 0;
  bool rope_interleaved = false;
  RopeScaling rope_scaling;
  bool bias = true;
  bool qkv_bias = false;
  bool out_bias = false;
  bool qk_norm = false;
  double norm_eps = 1e-6;
  double dropout = 0.0;

  // Not options: the host's own business.
  int64_t layer = 0;  ///< which of the host's layers this is
  int64_t layers = 1;
  BlockInit init = {};

  void options(Options& o);
  /// The same with the zeros that mean a default filled in, and the widths checked.
  AttentionHost resolved() const;
};

/// What differs from call to call.
struct AttentionContext {
  /// [N] or [B, N] i64 of x's tokens; undefined: they follow the cache's.
  Tensor positions = {};
  KvCache* cache = nullptr;  ///< when set, x holds new tokens only (causal, without recording)
  int64_t layer = 0;         ///< the cache's layer
  /// [B] i64: how many of a row's tokens count; those behind are padding that no token may see, and
  /// what comes out for them means nothing. Undefined: all. A mechanism that cannot leave keys out
  /// refuses it.
  Tensor lengths = {};
  /// Extents [H, W] (or [T, H, W]) of the map whose pixels are x's tokens, row by row; empty when
  /// the tokens are a sequence.
  Shape grid = {};
  /// Tokens before the map's that see all and are seen by all (a class token).
  int64_t globals = 0;
  /// [H, N, M] added to the scores of each head (M keys, a cache's included); undefined: nothing.
  /// Hosts give it to mechanisms that have such scores alone.
  Tensor bias = {};
  /// Pairs of the whole sequences' tokens that there are at all, whatever the mechanism's rule
  /// (documents packed into a row). Hosts give it to mechanisms that pack documents alone.
  AttentionPattern pairs = {};
};

class AttentionMechanism : public Module {
 public:
  /// x [B, N, C] -> [B, N, C].
  virtual Tensor forward(const Tensor& x, const AttentionContext& context) = 0;
  Tensor forward(const Tensor& x) { return forward(x, AttentionContext{}); }
  /// As a region of a model, whose tokens ranks may share outside of it.
  Tensor operator()(const Tensor& x, const AttentionContext& context) {
    return forward(region_ ? region_->enter(x) : x, context);
  }

  /// Forward floating-point operations on one sequence of `tokens`, projections included (a
  /// multiply-add counts as two; only pairs that exist count).
  virtual double flops(int64_t tokens) const = 0;

  /// Whether ranks may share its tokens (Module::split_tokens): it then sees other ranks' tokens
  /// through the split alone.
  virtual bool shares_tokens() const { return false; }
  /// Called once before they do, for parameters that go by token: it keeps the part of this rank's
  /// tokens.
  virtual void keep_own_tokens(const TokenSplit&) {}

  /// Whether it takes the pattern `pairs`, and a document in a row then gets what it would alone:
  /// nothing but distances and `positions` tells where a token stands.
  virtual bool packs_documents() const { return false; }

  /// Keeps this rank's share of the heads; the result is the sum over the ranks. A RequestError
  /// where the mechanism cannot, or where the ranks do not divide its heads.
  virtual void split_heads(const TensorSplitPointer& split);

 protected:
  TensorSplitPointer region_;  ///< who shares the heads
};

}  // namespace heed::nn
