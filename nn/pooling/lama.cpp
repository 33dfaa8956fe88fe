#include "nn/pooling/lama.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"
#include "nn/init.h"
#include "nn/pooling/token_weights.h"

namespace heed::nn {
namespace {

// Added to the squared norm, so that tables of zeros give equal weights and no NaN.
constexpr double kEps = 1e-8;

// The tables' start in the reimplementation that there is (no code of the authors' is known):
// uniform in +-1/sqrt(heads).
Init table_init(int64_t heads) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(heads));
  return init::uniform(-bound, bound);
}

}  // namespace

void LamaOptions::options(Options& o) {
  o.field("heads", heads, "sums of the tokens, side by side in the result", {.min = 2});
  o.field("context", context,
          "what the heads ask about: one learned vector, or the mean of the text's tokens",
          {.one_of = {"learned", "mean"}});
  o.field("annotation", annotation,
          "score a layer of the tokens, with tanh, not the tokens as such");
  o.field("activation", activation, "of the products of context and token",
          {.one_of = {"tanh", "identity"}});
  o.field("scale", scale, "of the scores before the softmax; the paper has none", {.above = 0});
}

Lama::Lama(const PoolingHost& host, const LamaOptions& o)
    : p(host.dim, o.heads, false, table_init(o.heads)),
      q(host.dim, o.heads, false, table_init(o.heads)),
      options_(o) {
  children({{"p", p}, {"q", q}});
  if (o.context == "learned") {
    context = Tensor::empty({host.dim});
    parameters({{"context", context, init::normal(1.0)}});
  }
  if (o.annotation) {
    annotation = std::make_unique<Linear>(host.dim, host.dim);
    children({{"annotation", *annotation}});
  }
}

Tensor Lama::weights(const Tensor& x, const Tensor& lengths) {
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor u = annotation ? tanh(annotation->forward(x)) : x;
  const Tensor c = context.defined() ? reshape(cast(context, x.dtype()), {1, 1, context.numel()})
                                     : unsqueeze(mean_of_lengths(x, lengths), 1);
  Tensor f = mul(cast(p(c), wide), cast(q(u), wide));  // [B, N, heads]
  if (options_.activation == "tanh") f = tanh(f);
  f = mul(f, rsqrt(add(sum(square(f), {2}, true), kEps)));
  return token_weights(options_.scale == 1.0 ? f : mul(f, options_.scale), lengths);
}

Tensor Lama::forward(const Tensor& x, const Tensor& lengths) {
  HEED_CHECK(x.rank() == 3 && x.size(2) == p.weight.size(1), "lama: wants [B, N, {}], got {}",
             p.weight.size(1), x);
  return weighted_sums(weights(x, lengths), x);
}

double Lama::flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens);
  const auto table = static_cast<double>(q.weight.numel());
  const auto heads = static_cast<double>(q.weight.size(0));
  double total = 2.0 * (table + n * (table + heads)) + 2.0 * n * table;
  if (annotation) total += 2.0 * n * static_cast<double>(annotation->weight.numel());
  if (!context.defined()) total += n * static_cast<double>(q.weight.size(1));
  return total;
}

}  // namespace heed::nn
