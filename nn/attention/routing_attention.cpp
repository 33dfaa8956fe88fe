#include "nn/attention/routing_attention.h"

#include <algorithm>
#include <vector>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/sort.h"
#include "autograd/ops/view.h"
#include "kernels/attention/patterns/named.h"

namespace heed::nn {
namespace {

constexpr double kNormEps = 1e-6;     // as in the official code, like the next
constexpr double kScatterEps = 0.01;  // added to how often a token was selected

Tensor normalised(const Tensor& x) { return layer_norm(x, {}, {}, kNormEps); }

/// Places in [B R N, D] of the tokens ids [B, R, K, w].
Tensor flat_places(const Tensor& ids, int64_t tokens) {
  std::vector<int64_t> places = ids.to_vector<int64_t>();
  const auto each = static_cast<size_t>(ids.size(2) * ids.size(3));
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

void RoutingOptions::options(Options& o) {
  o.field("clusters", clusters, "clusters of a head", {.min = 1});
  o.field("window", window, "tokens of a cluster; 0: the tokens over the clusters, rounded up",
          {.min = 0});
  o.field("select", select,
          "top: a cluster's best tokens, which later ones may push out; own: the last earlier "
          "members of a token's own cluster, without a look ahead",
          {.one_of = {"top", "own"}});
  o.field("local_heads", local_heads,
          "heads, the last ones, that see their block and the one before", {.min = 0});
  o.field("local_block", local_block, "tokens of a block of the local heads", {.min = 1});
  o.field("decay", decay, "share that the centroids keep at each step", {.min = 0, .max = 1});
  o.field("start", start,
          "what a centroid counts at first: one member, or zero, as published: then its first "
          "members weigh so little that it grows long",
          {.one_of = {"one", "zero"}});
  o.field("renormalise", renormalise, "centroids keep the norm of the vectors, sqrt(head_dim)");
}

RoutingAttention::RoutingAttention(const AttentionHost& given, const RoutingOptions& options)
    : ProjectedAttention(given),
      kmeans({.heads = std::max<int64_t>(1, host().heads - options.local_heads),
              .clusters = options.clusters,
              .dim = host().head_dim,
              .decay = options.decay,
              .from_one = options.start == "one",
              .renormalise = options.renormalise}),
      options_(options) {
  if (options.local_heads >= host().heads) {
    fail_request("attention 'routing': {} local heads leave none of {} to route",
                 options.local_heads, host().heads);
  }
  if (host().kv_heads != host().heads) {
    fail_request("attention 'routing': as many key heads as query heads, not {} of {}",
                 host().kv_heads, host().heads);
  }
  if (host().position == "alibi") {
    fail_request("attention 'routing' sees tokens by content: ALiBi has no place in it");
  }
  children({{"kmeans", kmeans}});
}

int64_t RoutingAttention::window(int64_t tokens) const {
  const int64_t even = (tokens + options_.clusters - 1) / options_.clusters;
  return std::min(tokens, options_.window > 0 ? options_.window : even);
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
      attention(gathered(in.q, places, clusters), gathered(in.k, key_places, clusters),
                gathered(in.v, key_places, clusters), within)
          .out;

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
    const Tensor found = attention(query, upto(in.k), upto(in.v), one).out;
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
  const int64_t fresh = in.q.size(2), all = in.k.size(2);
  const int64_t batch = in.q.size(0), heads = in.q.size(1), count = window(all);
  const std::vector<int64_t> of = OnlineKMeans::members(in.key_scores).to_vector<int64_t>();
  const std::vector<int64_t> of_query =
      host().causal ? of : OnlineKMeans::members(in.query_scores).to_vector<int64_t>();
  std::vector<int32_t> ids;
  for (int64_t row = 0; row < batch * heads; ++row) {
    std::vector<std::vector<int32_t>> members(static_cast<size_t>(options_.clusters));
    const auto at = [&](const std::vector<int64_t>& clusters, int64_t token) -> auto& {
      return members[static_cast<size_t>(clusters[static_cast<size_t>(row * all + token)])];
    };
    const auto add_keys = [&](const std::vector<int32_t>& own) {
      const int64_t known = std::ssize(own);
      for (int64_t i = 0; i < count; ++i)
        ids.push_back(i < known ? own[static_cast<size_t>(known - 1 - i)] : -1);
    };
    for (int64_t token = 0; token < all; ++token) {
      at(of, token).push_back(static_cast<int32_t>(token));
      if (host().causal && token >= all - fresh) add_keys(at(of, token));
    }
    for (int64_t token = 0; token < all && !host().causal; ++token) add_keys(at(of_query, token));
  }
  AttentionSpec within = how;
  within.pattern = AttentionPattern::indices(ids, batch, heads, fresh, count);
  return attention(in.q, in.k, in.v, within).out;
}

AttentionPattern RoutingAttention::near(int64_t tokens) const {
  const AttentionPattern blocks =
      block_window(tokens, options_.local_block, 1, host().causal ? 0 : 1);
  return host().causal ? blocks & AttentionPattern::causal() : blocks;
}

Tensor RoutingAttention::local(const Heads& in, const AttentionSpec& how) const {
  const int64_t fresh = in.q.size(2), all = in.k.size(2);
  const AttentionPattern pattern = near(all);
  AttentionSpec within = how;
  within.pattern = fresh == all
                       ? pattern
                       : AttentionPattern::part(pattern, {.queries = {all - fresh, 1, fresh},
                                                          .keys = {0, 1, all},
                                                          .whole_queries = all,
                                                          .whole_keys = all});
  return attention(in.q, in.k, in.v, within).out;
}

void RoutingAttention::learn(const Routed& in) {
  if (!recording()) kmeans.keep();
  kmeans.update(in.q, OnlineKMeans::members(in.query_scores));
  if (!host().causal) kmeans.update(in.k, OnlineKMeans::members(in.key_scores));
}

Tensor RoutingAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(!context.lengths.defined() && !context.bias.defined(),
             "attention routing: it cannot leave keys out, and has no place for biases");
  const int64_t routing = routing_heads(), heads = host().heads, dim = host().head_dim;
  const std::vector<Tensor> parts = own_parts(x);
  const auto routed = [&](const Tensor& part) {  // not rotated: clusters are of content
    const Tensor own = slice(part, 2, 0, routing * dim);
    return transpose(reshape(own, {x.size(0), x.size(1), routing, dim}), 1, 2);
  };
  const Tensor q = normalised(routed(parts[0]));
  const Tensor k = host().causal ? q : normalised(routed(parts[1]));
  Heads all = heads_of(parts, x, context);
  const auto of_local = [&](const Tensor& t) { return slice(t, 1, routing, heads); };
  const Tensor local_q = of_local(all.q);
  all.k = concat({cast(k, all.k.dtype()), of_local(all.k)}, 1);
  if (context.cache != nullptr) {
    check_cache();
    std::tie(all.k, all.v) = context.cache->append(context.layer, all.k, all.v);
  }
  const auto of_routing = [&](const Tensor& t) { return slice(t, 1, 0, routing); };
  Routed in{q, of_routing(all.k), of_routing(all.v), {}, {}};
  in.key_scores = kmeans.scores(context.cache != nullptr ? in.k : k);
  const int64_t tokens = in.k.size(2);
  in.query_scores =
      host().causal ? slice(in.key_scores, 3, tokens - x.size(1), tokens) : kmeans.scores(in.q);

  AttentionSpec how = spec(x, context);
  how.pattern = {};
  AttentionSpec by_content = how;
  by_content.score.scale = 1.0;
  Tensor y = options_.select == "own"   ? own(in, by_content)
             : context.cache != nullptr ? top_of_last(in)
                                        : top(in, by_content);
  if (options_.local_heads > 0) {
    how.dropout_head += static_cast<uint64_t>(routing * options_.clusters);  // other draws
    y = concat({y, local({local_q, of_local(all.k), of_local(all.v)}, how)}, 1);
  }
  // The old centroids served the pass.
  if (training() && !recomputing()) learn(in);
  return merge(y);
}

double RoutingAttention::flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens), w = static_cast<double>(window(tokens));
  const auto dim = static_cast<double>(host().head_dim);
  const auto clusters = static_cast<double>(options_.clusters);
  const double pairs =
      options_.select == "own" ? n * w : clusters * w * (host().causal ? (w + 1) / 2 : w);
  double total = projection_flops(tokens) + static_cast<double>(routing_heads()) *
                                                (2.0 * n * clusters * dim + 4.0 * pairs * dim);
  if (options_.local_heads > 0) {
    total += 4.0 * dim *
             static_cast<double>(
                 kernels::attention_pairs(near(tokens), {1, options_.local_heads, tokens, tokens}));
  }
  return total;
}

}  // namespace heed::nn
