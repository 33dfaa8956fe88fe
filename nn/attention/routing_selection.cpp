// Which tokens see each other in the routing heads, and their attention: the same whether all
// tokens are new or the last ones follow a cache.
#include <algorithm>
#include <vector>

#include "autograd/ops/compare.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/sort.h"
#include "autograd/ops/view.h"
#include "nn/attention/routing_attention.h"

namespace heed::nn {
namespace {

constexpr double kScatterEps = 0.01;  // added to how often a token was selected, as published

/// Ids [B, R, M] of rows of D features, as gather takes them.
Tensor of_rows(const Tensor& ids, int64_t dim) {
  return expand(unsqueeze(ids, 3), {ids.size(0), ids.size(1), ids.size(2), dim});
}

/// The rows of x [B, R, N, D] at tokens ids [B, R, ...].
Tensor rows_of(const Tensor& x, const Tensor& ids) {
  return gather(x, 2, of_rows(reshape(ids, {ids.size(0), ids.size(1), -1}), x.size(3)));
}

/// Those of lists [B, R, K, w] of tokens as heads of their own: [B, R K, w, D].
Tensor in_clusters(const Tensor& x, const Tensor& lists) {
  return reshape(rows_of(x, lists),
                 {x.size(0), x.size(1) * lists.size(2), lists.size(3), x.size(3)});
}

/// The `count` best tokens of each cluster by scores [B, R, K, N], in the order of the text.
Tensor best(const Tensor& scores, int64_t count) {
  const NoGrad none;
  return sort(topk(scores, count).second).first;
}

}  // namespace

Tensor RoutingAttention::in_lists(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const AttentionSpec& how,
                                  const RelativeVectors::Pairs& pairs) const {
  return by_place ? by_place->attend(q, k, v, how, pairs) : attention(q, k, v, how).out;
}

Tensor RoutingAttention::top(const Routed& in, const AttentionSpec& how) const {
  const int64_t batch = in.q.size(0), heads = in.q.size(1), tokens = in.q.size(2);
  const int64_t dim = in.v.size(3), count = window(tokens);
  const Tensor lists = best(in.query_scores, count);
  const Tensor key_lists = host().causal ? lists : best(in.key_scores, count);

  AttentionSpec within = how;  // of each cluster by itself, in the order of the text
  within.pattern = host().causal ? AttentionPattern::causal() : AttentionPattern();
  const Tensor found =
      in_lists(in_clusters(in.q, lists), in_clusters(in.k, key_lists), in_clusters(in.v, key_lists),
               within, {.farthest = count - 1, .causal = host().causal});
  const Tensor rows = reshape(contiguous(found), {batch, heads, options_.clusters * count, dim});
  return scatter_mean(rows, 2, of_rows(reshape(lists, {batch, heads, -1}), dim), tokens,
                      kScatterEps);
}

Tensor RoutingAttention::top_of_last(const Routed& in) const {
  // A token at a time, each with the clusters that the text up to it makes: of those that hold it.
  const int64_t fresh = in.q.size(2), all = in.k.size(2), dim = in.v.size(3);
  const int64_t batch = in.q.size(0), heads = in.q.size(1), clusters = options_.clusters;
  std::vector<Tensor> outputs;
  for (int64_t t = 0; t < fresh; ++t) {
    const int64_t tokens = all - fresh + t + 1, count = window(tokens);
    const Tensor lists = best(slice(in.key_scores, 3, 0, tokens), count);
    AttentionSpec one;
    one.score.scale = 1.0;
    const Tensor query = reshape(
        expand(unsqueeze(slice(in.q, 2, t, t + 1), 2), {batch, heads, clusters, 1, in.q.size(3)}),
        {batch, heads * clusters, 1, in.q.size(3)});
    const Tensor found = in_lists(query, in_clusters(slice(in.k, 2, 0, tokens), lists),
                                  in_clusters(slice(in.v, 2, 0, tokens), lists), one,
                                  {.farthest = count - 1, .query_offset = count - 1});
    // Clusters that hold the token have it last.
    const Tensor last = transpose(slice(lists, 3, count - 1, count), 2, 3);  // [B, R, 1, K]
    const Tensor none = Tensor::zeros(last.shape(), in.key_scores.dtype(), last.device());
    const Tensor holds = masked_fill(none, eq(last, static_cast<double>(tokens - 1)), 1.0);
    const Tensor weights = div(holds, add(sum(holds, {3}, /*keepdim=*/true), kScatterEps));
    outputs.push_back(
        matmul(cast(weights, found.dtype()), reshape(found, {batch, heads, clusters, dim})));
  }
  return concat(outputs, 2);
}

Tensor RoutingAttention::own(const Routed& in, const AttentionSpec& how) const {
  if (!host().causal) return own_both_ways(in, how);
  if (in.q.size(2) < in.k.size(2)) return own_of_last(in);
  // Sorted by cluster, the members of one stand side by side, in the order of the text.
  const int64_t batch = in.q.size(0), heads = in.q.size(1), tokens = in.q.size(2);
  const int64_t rows = batch * heads, count = window(tokens);
  const auto [clusters, order] = sort(OnlineKMeans::members(in.key_scores));
  const auto sorted = [&, by = order](const Tensor& x) {
    return reshape(rows_of(x, by), {rows, 1, tokens, x.size(3)});
  };
  const std::vector<int64_t> of = clusters.to_vector<int64_t>();
  AttentionSpec within = how;
  within.pattern = AttentionPattern::segments({of.begin(), of.end()}, rows) &
                   AttentionPattern::window(count - 1, 0);
  within.dropout_row = how.dropout_row * static_cast<uint64_t>(heads);  // heads are rows here
  const Tensor found =
      in_lists(sorted(in.q), sorted(in.k), sorted(in.v), within, {.farthest = count - 1});
  return rows_of(reshape(contiguous(found), {batch, heads, tokens, in.v.size(3)}), argsort(order));
}

Tensor RoutingAttention::own_of_last(const Routed& in) const {
  // Each new token with a list of its own, which it ends.
  const int64_t fresh = in.q.size(2), all = in.k.size(2), count = window(all);
  const int64_t batch = in.q.size(0), heads = in.q.size(1), lists = batch * heads * fresh;
  const std::vector<int64_t> of = OnlineKMeans::members(in.key_scores).to_vector<int64_t>();
  std::vector<int64_t> listed;
  std::vector<int32_t> filled;
  for (int64_t row = 0; row < batch * heads; ++row) {
    std::vector<std::vector<int64_t>> members(static_cast<size_t>(options_.clusters));
    for (int64_t token = 0; token < all; ++token) {
      auto& mine = members[static_cast<size_t>(of[static_cast<size_t>(row * all + token)])];
      mine.push_back(token);
      if (token < all - fresh) continue;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t member = std::ssize(mine) - count + i;
        listed.push_back(mine[static_cast<size_t>(std::max<int64_t>(member, 0))]);
        filled.push_back(member < 0 ? -1 : static_cast<int32_t>(i));
      }
    }
  }
  const Tensor ids = Tensor::from(listed, {batch, heads, fresh * count});
  const auto of_lists = [&](const Tensor& x) {
    return reshape(rows_of(x, ids), {lists, 1, count, x.size(3)});
  };
  AttentionSpec one;
  one.score.scale = 1.0;
  one.pattern = AttentionPattern::indices(filled, lists, 1, 1, count);
  const Tensor query = reshape(contiguous(in.q), {lists, 1, 1, in.q.size(3)});
  const Tensor found = in_lists(query, of_lists(in.k), of_lists(in.v), one,
                                {.farthest = count - 1, .query_offset = count - 1});
  return reshape(contiguous(found), {batch, heads, fresh, in.v.size(3)});
}

Tensor RoutingAttention::own_both_ways(const Routed& in, const AttentionSpec& how) const {
  const int64_t batch = in.q.size(0), heads = in.q.size(1), tokens = in.q.size(2);
  const int64_t count = window(tokens);
  const std::vector<int64_t> of = OnlineKMeans::members(in.key_scores).to_vector<int64_t>(),
                             asks = OnlineKMeans::members(in.query_scores).to_vector<int64_t>();
  std::vector<int32_t> ids;
  for (int64_t row = 0; row < batch * heads; ++row) {
    std::vector<std::vector<int32_t>> members(static_cast<size_t>(options_.clusters));
    const auto at = [&](const std::vector<int64_t>& clusters, int64_t token) -> auto& {
      return members[static_cast<size_t>(clusters[static_cast<size_t>(row * tokens + token)])];
    };
    for (int64_t token = 0; token < tokens; ++token)
      at(of, token).push_back(static_cast<int32_t>(token));
    for (int64_t token = 0; token < tokens; ++token) {
      const std::vector<int32_t>& own = at(asks, token);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t member = std::ssize(own) - 1 - i;
        ids.push_back(member < 0 ? -1 : own[static_cast<size_t>(member)]);
      }
    }
  }
  AttentionSpec within = how;
  within.pattern = AttentionPattern::indices(ids, batch, heads, tokens, count);
  return attention(in.q, in.k, in.v, within).out;
}

}  // namespace heed::nn
