#include "nn/layers/squeeze_excite.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"

namespace heed::nn {
namespace {

int64_t hidden_width(const SqueezeExciteOptions& o) {
  return o.hidden > 0 ? o.hidden : std::max<int64_t>(1, o.dim / 16);
}

}  // namespace

void SqueezeExciteOptions::options(Options& o) {
  o.field("dim", dim, "channels", {.min = 1, .required = true});
  o.field("hidden", hidden, "features between the two layers; 0 means dim / 16 (the paper's)",
          {.min = 0});
}

SqueezeExcite::SqueezeExcite(const SqueezeExciteOptions& o)
    : reduce(o.dim, hidden_width(o)), expand(hidden_width(o), o.dim) {
  children({{"reduce", reduce}, {"expand", expand}});
}

Tensor SqueezeExcite::forward(const Tensor& x) {
  HEED_CHECK(x.rank() >= 3, "squeeze_excite: wants [B, spatial..., C], got {}", x);
  std::vector<int> positions;
  for (int i = 1; i < x.rank() - 1; ++i) positions.push_back(i);
  const Tensor squeezed = mean(x, positions, true);  // [B, 1..., C]
  return mul(x, sigmoid(expand(reduce.forward(squeezed, Activation::relu))));
}

}  // namespace heed::nn
