#include "nn/layers/swiglu.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/layers/activate.h"
#include "nn/layers/mlp.h"

namespace heed::nn {
namespace {

// Two thirds of the plain layer's 4 x dim, so that both have the same number of parameters.
int64_t hidden_width(const SwigluOptions& options) {
  if (options.hidden > 0) return options.hidden;
  return ((8 * options.dim + 2) / 3 + 63) / 64 * 64;
}

}  // namespace

void SwigluOptions::options(Options& o) {
  o.field("dim", dim, "features of the input and output", {.min = 1, .required = true});
  o.field("hidden", hidden,
          "features of the hidden layer; 0 means 8/3 x dim, rounded up to a multiple of 64",
          {.min = 0});
  o.field("activation", activation,
          "of the gate: silu (SwiGLU), gelu or its tanh form (GEGLU), relu (ReGLU)",
          {.one_of = {"silu", "gelu", "gelu_tanh", "relu"}});
  o.field("bias", bias, "biases in the linear layers");
  o.field("dropout", dropout, "dropout of the hidden layer", {.min = 0, .below = 1});
}

Swiglu::Swiglu(const SwigluOptions& options, const BlockInit& init)
    : activation(activation_from_name(options.activation)),
      gate_up(options.dim, 2 * hidden_width(options), options.bias, init.in),
      down(hidden_width(options), options.dim, options.bias, init.out),
      dropout(options.dropout) {
  children({{"gate_up", gate_up}, {"down", down}, {"dropout", dropout}});
}

Tensor Swiglu::forward(const Tensor& x) {
  const Tensor both = gate_up(x);
  if (activation == Activation::silu) return down(dropout(swiglu_packed(both)));
  const int64_t hidden = both.size(-1) / 2;
  const Tensor gate = activate(slice(both, -1, 0, hidden), activation);
  return down(dropout(mul(gate, slice(both, -1, hidden, 2 * hidden))));
}

void Swiglu::split_hidden(const TensorSplitPointer& split) {
  const int64_t hidden = down.weight.size(1);
  gate_up.split_columns(split, {hidden, hidden});
  down.split_rows(split);
  dropout.first_column = split->first(hidden);
  dropout.columns = hidden;
  region_ = split;
}

double Swiglu::flops_per_token() const {
  return 2.0 * static_cast<double>(gate_up.weight.numel() + down.weight.numel());
}

}  // namespace heed::nn
