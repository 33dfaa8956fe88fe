#include "nn/layers/linear.h"

#include "nn/init.h"

namespace heed::nn {

void LinearOptions::options(Options& o) {
  o.field("in", in, "features of the input", {.min = 1, .required = true});
  o.field("out", out, "features of the output", {.min = 1, .required = true});
  o.field("bias", bias, "add a learned bias");
}

Linear::Linear(int64_t in, int64_t out, bool with_bias, Init weight_init) {
  HEED_CHECK(in > 0 && out > 0, "linear: needs positive widths, got {} -> {}", in, out);
  const bool given = static_cast<bool>(weight_init);
  weight = Tensor::empty({out, in});
  parameters({{"weight", weight, given ? std::move(weight_init) : init::linear_default(in)}});
  if (with_bias) {
    bias = Tensor::empty({out});
    parameters({{"bias", bias, given ? init::zeros() : init::linear_default(in)}});
  }
}

}  // namespace heed::nn
