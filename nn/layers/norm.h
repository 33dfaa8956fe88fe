// What a model asks of a normalisation, whichever it is.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"

namespace heed::nn {

struct Norm : Module {
  /// x [..., C] -> norm(x) [..., C].
  virtual Tensor forward(const Tensor& x) = 0;
  /// {s, norm(s)} with s = residual + x, in one pass where the statistics are a row's own.
  virtual std::pair<Tensor, Tensor> forward_add(const Tensor& residual, const Tensor& x) = 0;
  /// The same of one or two tensors that add up to s: a residual stream and its pending branch.
  std::pair<Tensor, Tensor> forward_sum(const std::vector<Tensor>& stream);
  Tensor operator()(const Tensor& x) { return forward(x); }
};

/// "layer_norm" or "rms_norm" over `dim` features, or "batch_norm"; `bias` is layer_norm's.
std::unique_ptr<Norm> make_norm(const std::string& kind, int64_t dim, double eps, bool bias);

}  // namespace heed::nn
