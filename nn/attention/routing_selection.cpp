// Which tokens see each other in the routing heads, and their attention: the same whether all
// tokens are new or the last ones follow a cache.
#include <algorithm>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/sort.h"
#include "autograd/ops/view.h"
#include "nn/attention/routing_attention.h"

namespace heed::nn {
namespace {

constexpr double kScatterEps = 0.01;  // added to how often a token was selected, as published

/// Places in [B R N, D] of the tokens ids [B, R, ...].
Tensor flat_places(const Tensor& ids, int64_t tokens) {
  std::vector<int64_t> places = ids.to_vector<int64_t>();
  const auto each = places.size() / static_cast<size_t>(ids.size(0) * ids.size(1));
  for (size_t i = 0; i < places.size(); ++i) places[i] += static_cast<int64_t>(i / each) * tokens;
  return Tensor::from(places, {static_cast<int64_t>(places.size())});
}

/// The rows of x [B, R, N, D] at flat places, as [B, R K, w, D].
Tensor gathered(const Tensor& x, const Tensor& places, int64_t clusters) {
  const int64_t width = places.numel() / (x.size(0) * x.size(1) * clusters);
  const Tensor rows = index_select(reshape(x, {-1, x.size(3)}), 0, places);
  return reshape(rows, {x.size(0), x.size(1) * clusters, width, x.size(3)});
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
  const int64_t clusters = options_.clusters, count = window(tokens);
  const Tensor places = flat_places(best(in.query_scores, count), tokens);
  const Tensor key_places =
      host().causal ? places : flat_places(best(in.key_scores, count), tokens);

  AttentionSpec within = how;  // of each cluster by itself, in the order of the text
  within.pattern = host().causal ? AttentionPattern::causal() : AttentionPattern();
  const Tensor found =
      in_lists(gathered(in.q, places, clusters), gathered(in.k, key_places, clusters),
               gathered(in.v, key_places, clusters), within,
               {.farthest = count - 1, .causal = host().causal});

  std::vector<double> shares(static_cast<size_t>(batch * heads * tokens), kScatterEps);
  for (const int64_t place : places.to_vector<int64_t>()) shares[static_cast<size_t>(place)] += 1.0;
  for (double& share : shares) share = 1.0 / share;
  const Tensor rows = reshape(contiguous(found), {places.numel(), in.v.size(3)});
  const Tensor sums =
      index_put(Tensor::zeros({std::ssize(shares), in.v.size(3)}, rows.dtype()), 0, places, rows,
                /*accumulate=*/true);
  const Tensor mean = mul(sums, cast(Tensor::from(shares, {std::ssize(shares), 1}), rows.dtype()));
  return reshape(mean, {batch, heads, tokens, in.v.size(3)});
}

Tensor RoutingAttention::top_of_last(const Routed& in) const {
  // A token at a time, each with the clusters that the text up to it makes: of those that hold it.
  const int64_t fresh = in.q.size(2), all = in.k.size(2), dim = in.v.size(3);
  const int64_t batch = in.q.size(0), heads = in.q.size(1), clusters = options_.clusters;
  std::vector<Tensor> outputs;
  for (int64_t t = 0; t < fresh; ++t) {
    const int64_t tokens = all - fresh + t + 1, count = window(tokens);
    const Tensor ids = best(slice(in.key_scores, 3, 0, tokens), count);
    const Tensor places = flat_places(ids, tokens);
    const auto upto = [&](const Tensor& x) {
      return gathered(slice(x, 2, 0, tokens), places, clusters);
    };
    AttentionSpec one;
    one.score.scale = 1.0;
    const Tensor query = reshape(
        expand(unsqueeze(slice(in.q, 2, t, t + 1), 2), {batch, heads, clusters, 1, in.q.size(3)}),
        {batch, heads * clusters, 1, in.q.size(3)});
    const Tensor found = in_lists(query, upto(in.k), upto(in.v), one,
                                  {.farthest = count - 1, .query_offset = count - 1});
    std::vector<double> holds;  // whether the cluster does: [B, R, K]
    const std::vector<int64_t> last = ids.to_vector<int64_t>();
    for (size_t i = static_cast<size_t>(count) - 1; i < last.size();
         i += static_cast<size_t>(count))
      holds.push_back(last[i] == tokens - 1 ? 1.0 : 0.0);
    for (size_t i = 0; i < holds.size(); i += static_cast<size_t>(clusters)) {
      double times = kScatterEps;
      for (int64_t c = 0; c < clusters; ++c) times += holds[i + static_cast<size_t>(c)];
      for (int64_t c = 0; c < clusters; ++c) holds[i + static_cast<size_t>(c)] /= times;
    }
    const Tensor weights = cast(Tensor::from(holds, {batch, heads, 1, clusters}), found.dtype());
    outputs.push_back(matmul(weights, reshape(found, {batch, heads, clusters, dim})));
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
  const Tensor places = flat_places(order, tokens);
  const auto sorted = [&](const Tensor& x) {
    return reshape(gathered(x, places, 1), {rows, 1, tokens, x.size(3)});
  };
  const std::vector<int64_t> of = clusters.to_vector<int64_t>();
  AttentionSpec within = how;
  within.pattern = AttentionPattern::segments({of.begin(), of.end()}, rows) &
                   AttentionPattern::window(count - 1, 0);
  within.dropout_row = how.dropout_row * static_cast<uint64_t>(heads);  // heads are rows here
  const Tensor found =
      in_lists(sorted(in.q), sorted(in.k), sorted(in.v), within, {.farthest = count - 1});

  const std::vector<int64_t> from = places.to_vector<int64_t>();
  std::vector<int64_t> back(from.size());
  for (size_t i = 0; i < from.size(); ++i)
    back[static_cast<size_t>(from[i])] = static_cast<int64_t>(i);
  const Tensor rows_found = reshape(contiguous(found), {rows * tokens, in.v.size(3)});
  return reshape(index_select(rows_found, 0, Tensor::from(back, {rows * tokens})),
                 {batch, heads, tokens, in.v.size(3)});
}

Tensor RoutingAttention::own_of_last(const Routed& in) const {
  // Each new token with a list of its own, which it ends.
  const int64_t fresh = in.q.size(2), all = in.k.size(2), count = window(all);
  const int64_t batch = in.q.size(0), heads = in.q.size(1), lists = batch * heads * fresh;
  const std::vector<int64_t> of = OnlineKMeans::members(in.key_scores).to_vector<int64_t>();
  std::vector<int64_t> places;
  std::vector<int32_t> filled;
  for (int64_t row = 0; row < batch * heads; ++row) {
    std::vector<std::vector<int64_t>> members(static_cast<size_t>(options_.clusters));
    for (int64_t token = 0; token < all; ++token) {
      auto& mine = members[static_cast<size_t>(of[static_cast<size_t>(row * all + token)])];
      mine.push_back(row * all + token);
      if (token < all - fresh) continue;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t member = std::ssize(mine) - count + i;
        places.push_back(mine[static_cast<size_t>(std::max<int64_t>(member, 0))]);
        filled.push_back(member < 0 ? -1 : static_cast<int32_t>(i));
      }
    }
  }
  const Tensor at = Tensor::from(places, {std::ssize(places)});
  const auto listed = [&](const Tensor& x) {
    return reshape(index_select(reshape(x, {-1, x.size(3)}), 0, at), {lists, 1, count, x.size(3)});
  };
  AttentionSpec one;
  one.score.scale = 1.0;
  one.pattern = AttentionPattern::indices(filled, lists, 1, 1, count);
  const Tensor query = reshape(contiguous(in.q), {lists, 1, 1, in.q.size(3)});
  const Tensor found = in_lists(query, listed(in.k), listed(in.v), one,
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
