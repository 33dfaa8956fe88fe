#include "nn/pooling/additive.h"

#include "autograd/ops/elementwise.h"
#include "nn/pooling/token_weights.h"

namespace heed::nn {

void AdditivePoolingOptions::options(Options& o) {
  o.field("heads", heads, "sums of the tokens, side by side in the result", {.min = 1});
  o.field("hidden", hidden, "hidden features of the scores; 0: as many as a token's", {.min = 0});
  o.field("bias", bias, "add a bias to the hidden features");
}

AdditivePooling::AdditivePooling(const PoolingHost& host, const AdditivePoolingOptions& o)
    : hidden(host.dim, o.hidden > 0 ? o.hidden : host.dim, o.bias),
      score(hidden.weight.size(0), o.heads, false) {
  children({{"hidden", hidden}, {"score", score}});
}

Tensor AdditivePooling::weights(const Tensor& x, const Tensor& lengths) {
  return token_weights(score(tanh(hidden(x))), lengths);
}

Tensor AdditivePooling::forward(const Tensor& x, const Tensor& lengths) {
  return weighted_sums(weights(x, lengths), x);
}

double AdditivePooling::flops(int64_t tokens) const {
  return 2.0 * static_cast<double>(tokens) *
         static_cast<double>(hidden.weight.numel() + score.weight.numel() + width());
}

}  // namespace heed::nn
