#include "distributed/head_exchange.h"

#include "autograd/ops/view.h"
#include "distributed/shared_tokens.h"

namespace heed {
namespace {

/// The heads of this rank, and how many queries it has of how many.
struct OwnHeads {
  Communicator& ranks;
  TokenLayout layout;
  int64_t heads, first, count, queries;

  OwnHeads(int64_t all, int64_t own_queries, Communicator& communicator, TokenLayout how)
      : ranks(communicator),
        layout(how),
        heads(all),
        first(all / communicator.size() * communicator.rank()),
        count(all / communicator.size()),
        queries(own_queries) {}

  /// Of a tensor with heads (or 1) along dim.
  Tensor of(const Tensor& x, int dim) const {
    if (!x.defined() || x.size(dim) == 1) return x;
    HEED_CHECK(x.size(dim) == heads, "attention: {} for {} heads", x, heads);
    return slice(x, dim, first, first + count);
  }
  /// Of a tensor [B or 1, H or 1, queries or 1, ...], with all queries where it has this rank's.
  Tensor with_queries(const Tensor& x) const {
    if (!x.defined() || x.size(2) != queries || queries == 1) return of(x, 1);
    return of(gather_tokens(x, 2, ranks, layout), 1);
  }
};

AttentionSpec of_heads(const AttentionSpec& spec, const OwnHeads& own, int64_t queries,
                       int64_t keys) {
  AttentionSpec to = spec;
  AttentionScore& score = to.score;
  if (spec.pattern.rule() && spec.pattern.rule()->varies_by_head()) {
    to.pattern = AttentionPattern::part(
        spec.pattern, {{0, 1, queries}, {0, 1, keys}, queries, keys, own.first, own.heads});
    to.pattern.query_offset = spec.pattern.query_offset;
  }
  if (!score.alibi.empty()) {
    const auto first = score.alibi.begin() + own.first;
    score.alibi = std::vector<float>(first, first + own.count);
  }
  score.table = own.of(score.table, 0);
  score.key_temperature = own.of(score.key_temperature, 1);
  score.query_temperature = own.with_queries(score.query_temperature);
  score.bias = own.with_queries(score.bias);
  if (score.sink.defined())
    score.sink = score.sink.rank() == 1 ? own.of(score.sink, 0) : own.with_queries(score.sink);
  for (RelativeLogits& axis : score.relative_logits) axis.logits = own.with_queries(axis.logits);
  to.dropout_head += static_cast<uint64_t>(own.first);
  return to;
}

}  // namespace

AttentionResult head_exchange_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                        const AttentionSpec& spec, Communicator& ranks,
                                        TokenLayout layout, bool with_lse) {
  if (ranks.size() == 1) return attention(q, k, v, spec);
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4,
             "attention: q, k, v must be [B, H, N, D], got {}, {}, {}", q, k, v);
  if (q.size(1) % ranks.size() != 0 || k.size(1) % ranks.size() != 0) {
    fail_request(
        "an exchange of heads over {} ranks: {} heads and {} key/value heads are not "
        "multiples of them",
        ranks.size(), q.size(1), k.size(1));
  }
  const OwnHeads own(q.size(1), q.size(2), ranks, layout);
  const AttentionSpec how = of_heads(spec, own, q.size(2) * ranks.size(), k.size(2) * ranks.size());
  const AttentionResult y =
      attention(tokens_to_heads(q, ranks, layout), tokens_to_heads(k, ranks, layout),
                tokens_to_heads(v, ranks, layout), how);
  AttentionResult mine{heads_to_tokens(y.out, ranks, layout), {}};
  if (with_lse) mine.lse = squeeze(heads_to_tokens(unsqueeze(y.lse, 3), ranks, layout), 3);
  return mine;
}

}  // namespace heed
