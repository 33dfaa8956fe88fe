#include "nn/layers/feed_forward.h"

#include "autograd/ops/elementwise.h"
#include "nn/layers/mlp.h"
#include "nn/layers/swiglu.h"

namespace heed::nn {
namespace {

// CLIP's activation, x sigmoid(1.702 x), by way of silu(z) = z sigmoid(z).
struct QuickGeluMlp : Mlp {
  using Mlp::Mlp;

  Tensor forward(const Tensor& x) override {
    constexpr double kSteepness = 1.702;
    const Tensor hidden = up.forward(x);
    return down(dropout(mul(silu(mul(hidden, kSteepness)), 1 / kSteepness)));
  }
};

}  // namespace

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
  const bool quick = kind == "quick_gelu";
  const MlpOptions options{.dim = dim,
                           .hidden = hidden,
                           .activation = quick ? "none" : kind,
                           .bias = bias,
                           .dropout = dropout};
  if (quick) return std::make_unique<QuickGeluMlp>(options, init);
  return std::make_unique<Mlp>(options, init);
}

}  // namespace heed::nn
