#include "nn/layers/conv_mlp.h"

#include "autograd/ops/elementwise.h"
#include "nn/layers/activate.h"

namespace heed::nn {
namespace {

int64_t hidden_width(const ConvMlpOptions& o) { return o.hidden > 0 ? o.hidden : 4 * o.dim; }

}  // namespace

void ConvMlpOptions::options(Options& o) {
  MlpOptions::options(o);
  o.field("residual", residual, "add the convolution to the hidden features it comes from");
}

ConvMlp::ConvMlp(const ConvMlpOptions& o, const BlockInit& init, Init depthwise_init)
    : activation(activation_from_name(o.activation)),
      up(o.dim, hidden_width(o), o.bias, init.in),
      down(hidden_width(o), o.dim, o.bias, init.out),
      depthwise(same_conv(hidden_width(o), hidden_width(o), 3, 1, hidden_width(o), true),
                std::move(depthwise_init)),
      dropout(o.dropout),
      residual(o.residual) {
  children({{"up", up}, {"depthwise", depthwise}, {"down", down}, {"dropout", dropout}});
}

Tensor ConvMlp::forward(const Tensor& x) {
  HEED_CHECK(x.rank() == 4, "conv_mlp: wants [B, H, W, C], got {}", x);
  const Tensor hidden = up(x);
  const Tensor mixed = residual ? add(hidden, depthwise(hidden)) : depthwise(hidden);
  return down(dropout(activate(mixed, activation)));
}

void ConvMlp::split_hidden(const TensorSplitPointer& split) {
  const int64_t hidden = up.weight.size(0);
  up.split_columns(split);
  depthwise.split_channels(*split);
  down.split_rows(split);
  dropout.first_column = split->first(hidden);
  dropout.columns = hidden;
  region_ = split;
}

double ConvMlp::flops_per_token() const {
  return 2.0 *
         static_cast<double>(up.weight.numel() + depthwise.weight.numel() + down.weight.numel());
}

}  // namespace heed::nn
