#include "nn/layers/mlp.h"

namespace heed::nn {
namespace {

int64_t hidden_width(const MlpOptions& options) {
  return options.hidden > 0 ? options.hidden : 4 * options.dim;
}

}  // namespace

void MlpOptions::options(Options& o) {
  o.field("dim", dim, "features of the input and output", {.min = 1, .required = true});
  o.field("hidden", hidden, "features of the hidden layer; 0 means 4 x dim", {.min = 0});
  o.field("activation", activation, "nonlinearity of the hidden layer",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu"}});
  o.field("bias", bias, "biases in both linear layers");
  o.field("dropout", dropout, "dropout of the hidden layer", {.min = 0, .below = 1});
}

Activation activation_from_name(const std::string& name) {
  if (name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "silu") return Activation::silu;
  fail_request("unknown activation '{}' (none, relu, gelu, gelu_tanh, silu)", name);
}

Mlp::Mlp(const MlpOptions& options, const BlockInit& init)
    : activation(activation_from_name(options.activation)),
      up(options.dim, hidden_width(options), options.bias, init.in),
      down(hidden_width(options), options.dim, options.bias, init.out),
      dropout(options.dropout) {
  children({{"up", up}, {"down", down}, {"dropout", dropout}});
}

Tensor Mlp::forward(const Tensor& x) { return down(dropout(up.forward(x, activation))); }

void Mlp::split_hidden(const TensorSplitPointer& split) {
  const int64_t hidden = up.weight.size(0);
  up.split_columns(split);
  down.split_rows(split);
  dropout.first_column = split->first(hidden);
  dropout.columns = hidden;
  region_ = split;
}

double Mlp::flops_per_token() const {
  return 2.0 * static_cast<double>(up.weight.numel() + down.weight.numel());
}

}  // namespace heed::nn
