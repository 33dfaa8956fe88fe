#include "nn/attention/routing_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "kernels/attention/patterns/named.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

// As in the official code, which scales q by 1/sqrt(D) before, so that its epsilon counts D-fold.
constexpr double kNormEps = 1e-6;

Tensor normalised(const Tensor& x) { return layer_norm(x, {}, {}, kNormEps); }

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
  o.field("skip_first", skip_first, "layers, the first ones, whose heads are all local",
          {.min = 0});
  o.field("relative", relative,
          "reach of learned vectors by distance, beside keys and values: in tokens for local "
          "heads, in places of the cluster for the others; 0: none",
          {.min = 0});
  o.field("head_matrix", head_matrix, "a matrix behind every head, the same for all");
  o.field("decay", decay, "share that the centroids keep at each step", {.min = 0, .max = 1});
  o.field("start", start,
          "what a centroid counts at first: one member, or zero, as published: then its first "
          "members weigh so little that it grows long",
          {.one_of = {"one", "zero"}});
  o.field("renormalise", renormalise, "centroids keep the norm of the vectors, sqrt(head_dim)");
  o.field("commitment", commitment,
          "weight of the mean squared distance to the centroids in the model's loss (gpt, "
          "routing_transformer; other models leave it out)",
          {.min = 0});
}

RoutingAttention::RoutingAttention(const AttentionHost& given, const RoutingOptions& options)
    : ProjectedAttention(given),
      options_(options),
      local_heads_(host().layer < options.skip_first ? host().heads : options.local_heads) {
  if (options.local_heads >= host().heads && host().layer >= options.skip_first) {
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
  if (options.relative > 0 && options.select == "own" && !host().causal) {
    fail_request(
        "attention 'routing': `relative` counts places in one list of tokens; a bidirectional "
        "model with `select: own` has one of queries and one of keys");
  }
  const int64_t routing = routing_heads(), dim = host().head_dim;
  if (routing > 0) {
    kmeans =
        std::make_unique<OnlineKMeans>(OnlineKMeansOptions{.heads = routing,
                                                           .clusters = options.clusters,
                                                           .dim = dim,
                                                           .decay = options.decay,
                                                           .from_one = options.start == "one",
                                                           .renormalise = options.renormalise});
    children({{"kmeans", *kmeans}});
  }
  if (options.relative > 0 && local_heads_ > 0) {
    local = std::make_unique<RelativeVectors>(options.relative, dim);
    children({{"local", *local}});
  }
  if (options.relative > 0 && routing > 0) {
    by_place = std::make_unique<RelativeVectors>(options.relative, dim);
    children({{"by_place", *by_place}});
  }
  if (options.head_matrix) {
    head_matrix = std::make_unique<Linear>(dim, dim, false, init::xavier_uniform(std::sqrt(0.2)));
    children({{"head_matrix", *head_matrix}});
  }
}

int64_t RoutingAttention::window(int64_t tokens) const {
  const int64_t even = (tokens + options_.clusters - 1) / options_.clusters;
  return std::min(tokens, options_.window > 0 ? options_.window : even);
}

AttentionPattern RoutingAttention::near(int64_t tokens) const {
  const AttentionPattern blocks =
      block_window(tokens, options_.local_block, 1, host().causal ? 0 : 1);
  return host().causal ? blocks & AttentionPattern::causal() : blocks;
}

Tensor RoutingAttention::near_blocks(const Heads& in, const AttentionSpec& how) const {
  const int64_t fresh = in.q.size(2), all = in.k.size(2);
  const AttentionPattern pattern = near(all);
  AttentionSpec within = how;
  within.pattern = fresh == all
                       ? pattern
                       : AttentionPattern::part(pattern, {.queries = {all - fresh, 1, fresh},
                                                          .keys = {0, 1, all},
                                                          .whole_queries = all,
                                                          .whole_keys = all});
  if (!local) return attention(in.q, in.k, in.v, within).out;
  return local->attend(in.q, in.k, in.v, within,
                       {.farthest = 2 * options_.local_block - 1,
                        .causal = host().causal,
                        .query_offset = all - fresh});
}

// The mean over all elements of (q^ - its centroid)^2, and the same of the keys: where they are the
// queries, as in the official code, once more.
Tensor RoutingAttention::commitment(const Routed& in) const {
  const auto distance = [&](const Tensor& x, const Tensor& scores) {
    const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    const Tensor centroids = kmeans->nearest(OnlineKMeans::members(scores), wide);
    return mean(square(sub(cast(x, wide), centroids)));
  };
  const Tensor of_queries = distance(in.q, in.query_scores);
  const Tensor both =
      host().causal ? mul(of_queries, 2.0) : add(of_queries, distance(in.k, in.key_scores));
  return mul(both, options_.commitment);
}

void RoutingAttention::learn(const Routed& in) {
  if (!recording()) kmeans->keep();
  kmeans->update(in.q, OnlineKMeans::members(in.query_scores));
  if (!host().causal) kmeans->update(in.k, OnlineKMeans::members(in.key_scores));
}

Tensor RoutingAttention::routed(const Tensor& q, const Tensor& k, const Heads& all,
                                const AttentionSpec& how, bool cached) {
  const auto of_routing = [&](const Tensor& t) { return slice(t, 1, 0, routing_heads()); };
  Routed in{q, of_routing(all.k), of_routing(all.v), {}, {}};
  in.key_scores = kmeans->scores(cached ? in.k : k);
  const int64_t tokens = in.k.size(2);
  in.query_scores =
      host().causal ? slice(in.key_scores, 3, tokens - q.size(2), tokens) : kmeans->scores(in.q);
  AttentionSpec by_content = how;
  by_content.score.scale = 1.0;
  const Tensor y = options_.select == "own" ? own(in, by_content)
                   : cached                 ? top_of_last(in)
                                            : top(in, by_content);
  if (adds_losses() && ExtraLosses::wanted()) ExtraLosses::add(commitment(in));
  // The old centroids served the pass.
  if (training() && !recomputing()) learn(in);
  return y;
}

Tensor RoutingAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(!context.lengths.defined() && !context.bias.defined(),
             "attention routing: it cannot leave keys out, and has no place for biases");
  const int64_t routing = routing_heads(), heads = host().heads, dim = host().head_dim;
  const std::vector<Tensor> parts = own_parts(x);
  const auto routed_part = [&](const Tensor& part) {  // not rotated: clusters are of content
    const Tensor own = slice(part, 2, 0, routing * dim);
    return normalised(transpose(reshape(own, {x.size(0), x.size(1), routing, dim}), 1, 2));
  };
  const auto of_local = [&](const Tensor& t) { return slice(t, 1, routing, heads); };
  Heads all = heads_of(parts, x, context);
  const Tensor local_q = of_local(all.q);
  Tensor q, k;
  if (routing > 0) {
    q = routed_part(parts[0]);
    k = host().causal ? q : routed_part(parts[1]);
    all.k = concat({cast(k, all.k.dtype()), of_local(all.k)}, 1);
  }
  if (context.cache != nullptr) {
    check_cache();
    std::tie(all.k, all.v) = context.cache->append(context.layer, all.k, all.v);
  }

  AttentionSpec how = spec(x, context);
  how.pattern = {};
  std::vector<Tensor> outputs;
  if (routing > 0) outputs.push_back(routed(q, k, all, how, context.cache != nullptr));
  if (local_heads_ > 0) {
    how.dropout_head += static_cast<uint64_t>(routing * options_.clusters);  // other draws
    outputs.push_back(near_blocks({local_q, of_local(all.k), of_local(all.v)}, how));
  }
  Tensor y = outputs.size() == 1 ? outputs[0] : concat(outputs, 1);
  if (head_matrix) y = transpose((*head_matrix)(transpose(y, 1, 2)), 1, 2);
  return merge(y);
}

void RoutingAttention::split_heads(const TensorSplitPointer&) {
  fail_request(
      "attention 'routing' does not share its heads among ranks (parallel.tensor must be 1): some "
      "route and some are local, and its tables and the matrix behind the heads are of all");
}

double RoutingAttention::flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens), w = static_cast<double>(window(tokens));
  const auto dim = static_cast<double>(host().head_dim);
  const auto clusters = static_cast<double>(options_.clusters);
  const auto routing = static_cast<double>(routing_heads());
  const auto near_heads = static_cast<double>(local_heads_);
  // Products of queries and of sums by distance with the tables' rows.
  const auto tables = [&](double rows, int64_t farthest) {
    const auto reach = static_cast<double>(std::min(options_.relative, farthest));
    return reach > 0.0 ? 4.0 * rows * (host().causal ? reach + 1 : 2 * reach + 1) * dim : 0.0;
  };
  const double lists = options_.select == "own" ? n : clusters * w;
  const double pairs = options_.select == "own" || !host().causal ? lists * w : lists * (w + 1) / 2;
  double total = projection_flops(tokens);
  if (head_matrix) total += 2.0 * n * static_cast<double>(host().heads) * dim * dim;
  total += routing * (2.0 * n * clusters * dim + 4.0 * pairs * dim +
                      tables(lists, static_cast<int64_t>(w) - 1));
  if (local_heads_ > 0) {
    total += 4.0 * dim *
             static_cast<double>(
                 kernels::attention_pairs(near(tokens), {1, local_heads_, tokens, tokens}));
    total += near_heads * tables(n, 2 * options_.local_block - 1);
  }
  return total;
}

}  // namespace heed::nn
