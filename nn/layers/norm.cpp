#include "nn/layers/norm.h"

#include "nn/layers/batch_norm.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/rms_norm.h"

namespace heed::nn {

std::pair<Tensor, Tensor> Norm::forward_sum(const std::vector<Tensor>& stream) {
  HEED_CHECK(stream.size() == 1 || stream.size() == 2, "norm: a stream of {} tensors",
             stream.size());
  if (stream.size() == 1) return {stream[0], forward(stream[0])};
  return forward_add(stream[0], stream[1]);
}

std::unique_ptr<Norm> make_norm(const std::string& kind, int64_t dim, double eps, bool bias) {
  if (kind == "layer_norm") {
    return std::make_unique<LayerNorm>(LayerNormOptions{.dim = dim, .eps = eps, .bias = bias});
  }
  if (kind == "rms_norm") {
    return std::make_unique<RmsNorm>(RmsNormOptions{.dim = dim, .eps = eps});
  }
  if (kind == "batch_norm") {
    return std::make_unique<BatchNorm>(BatchNormOptions{.dim = dim, .eps = eps});
  }
  fail_request("norm: unknown kind '{}' (layer_norm, rms_norm or batch_norm)", kind);
}

}  // namespace heed::nn
