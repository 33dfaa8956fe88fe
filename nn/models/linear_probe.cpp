#include "nn/models/linear_probe.h"

#include "autograd/ops/elementwise.h"
#include "nn/defaults.h"
#include "nn/init.h"
#include "nn/pooling/registry.h"

namespace heed::nn {
namespace {

constexpr double kNormEps = 1e-6;  // as in the official code of arXiv 2111.06377

std::unique_ptr<Pooling> pool_of(const LinearProbeOptions& o) {
  if (o.features <= 0 || o.classes <= 0) {
    fail_request(
        "model linear_probe: `features` and `classes` are not given (a recipe takes them from its "
        "data)");
  }
  return o.tokens > 0 ? make_pooling(o.pool, {.dim = o.features}) : nullptr;
}

}  // namespace

void LinearProbeOptions::options(Options& o) {
  o.field("features", features, "of a vector; 0 takes the data's", {.min = 0});
  o.field("tokens", tokens, "vectors of an example; 0 takes the data's, or stands for a single one",
          {.min = 0});
  o.field("classes", classes, "outputs; 0 takes the data's", {.min = 0});
  o.field("pool", pool, "of several vectors, how they become one: `type` and its own keys",
          {.registry = "poolings"});
  o.field("norm", norm, "before the layer: batch norm without weights, or none",
          {.one_of = {"batch", "none"}});
  o.field("init_std", init_std, "standard deviation of the first weights, cut at two of them",
          {.above = 0});
}

LinearProbe::LinearProbe(const LinearProbeOptions& o)
    : pool(pool_of(o)),
      head(pool ? pool->width() : o.features, o.classes, true, init::truncated_normal(o.init_std)),
      options_(o) {
  if (pool) children({{"pool", *pool}});
  if (o.norm == "batch") {
    norm = std::make_unique<BatchNorm>(
        BatchNormOptions{.dim = head.weight.size(1), .eps = kNormEps, .affine = false});
    children({{"norm", *norm}});
  }
  children({{"head", head}});
}

ClassifierInput LinearProbe::input() const {
  return ClassifierInput::features(options_.features, options_.tokens);
}

Config LinearProbe::config() const {
  return with_defaults(Config(Config::Map{{"type", "linear_probe"}}), options_);
}

Tensor LinearProbe::forward(const Tensor& x, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "linear_probe: features take no lengths");
  HEED_CHECK(x.rank() == (pool ? 3 : 2) && x.size(-1) == options_.features,
             "linear_probe: wants {} of {} features, got {}", pool ? "[B, N, D]" : "[B, D]",
             options_.features, x);
  Tensor y = cast(x, compute_dtype());
  if (pool) y = pool->forward(y, Tensor());
  return head(norm ? norm->forward(y) : y);
}

double LinearProbe::flops() const {
  return (pool ? pool->flops(options_.tokens) : 0.0) +
         2.0 * static_cast<double>(head.weight.numel());
}

}  // namespace heed::nn
