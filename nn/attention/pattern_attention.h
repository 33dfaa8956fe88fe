// Softmax attention over the pairs of a pattern (kernels/attention/pattern.h): the frame of the
// mechanisms that differ in the pattern alone.
#pragma once

#include <memory>

#include "nn/attention/projected_attention.h"

namespace heed::nn {

/// What a mechanism makes its pattern for.
struct PatternRequest {
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t offset = 0;   ///< of query 0 among the keys (those that a cache still has)
  Shape grid = {};      ///< of the tokens; {tokens} when they are a sequence
  int64_t globals = 0;  ///< tokens before these, which see all and are seen by all
  bool padded = false;  ///< whether the rows of the batch have lengths of their own
};

class PatternAttention : public ProjectedAttention {
 public:
  using ProjectedAttention::ProjectedAttention;

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  /// Counts the pattern's pairs on likely_request's map.
  double flops(int64_t tokens) const override;
  bool shares_tokens() const override { return true; }
  void split_heads(const TensorSplitPointer& split) override;

 protected:
  /// Causality is added for causal hosts, and global tokens before the request's.
  virtual AttentionPattern pattern(const PatternRequest& request) const = 0;
  /// What a token sees of those before it, where that ends: a cache then keeps no more, and keys
  /// behind the first ones are counted from the oldest that is left. For patterns that stay the
  /// same when both sides are moved along.
  virtual KeySpan key_span() const { return {}; }
  /// Terms of the score beside what the host asks for.
  virtual void add_terms(AttentionScore&, const PatternRequest&) const {}
  /// Whether there are terms that depend on the queries' content, and these terms, for q [B, H, N,
  /// D].
  virtual bool has_query_terms() const { return false; }
  virtual void add_query_terms(AttentionScore&, const Tensor&, const PatternRequest&) const {}

  /// What `tokens` are taken for where no one says: a square map if they can be one, or one behind
  /// a class token, else (and in a causal model) a sequence.
  PatternRequest likely_request(int64_t tokens) const;
  /// Counts the pairs of this request's pattern.
  double flops(const PatternRequest& request) const;

 private:
  AttentionPattern whole_pattern(const PatternRequest& request) const;
};

}  // namespace heed::nn
