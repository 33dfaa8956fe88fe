#include "nn/layers/feed_forward.h"

#include "nn/layers/mlp.h"
#include "nn/layers/swiglu.h"

namespace heed::nn {

void FeedForward::split_hidden(const TensorSplitPointer&) {
  fail_request("this feed-forward layer works on all of its hidden features at once");
}

std::unique_ptr<FeedForward> make_feed_forward(const std::string& kind, int64_t dim, int64_t hidden,
                                               bool bias, double dropout, const BlockInit& init) {
  if (kind == "swiglu" || kind == "geglu") {
    const SwigluOptions options{.dim = dim,
                                .hidden = hidden,
                                .activation = kind == "swiglu" ? "silu" : "gelu_tanh",
                                .bias = bias,
                                .dropout = dropout};
    return std::make_unique<Swiglu>(options, init);
  }
  const MlpOptions options{
      .dim = dim, .hidden = hidden, .activation = kind, .bias = bias, .dropout = dropout};
  return std::make_unique<Mlp>(options, init);
}

}  // namespace heed::nn
