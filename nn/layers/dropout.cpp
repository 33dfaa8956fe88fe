#include "nn/layers/dropout.h"

#include "autograd/ops/elementwise.h"

namespace heed::nn {

void DropoutOptions::options(Options& o) {
  o.field("p", p, "probability of an element's being zeroed", {.min = 0, .below = 1});
}

Dropout::Dropout(double probability) : p(probability) {
  HEED_CHECK(p >= 0.0 && p < 1.0, "dropout: p must be in [0, 1), got {}", p);
}

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || p == 0.0) return x;
  return dropout(x, p, current_key(purpose()), first_draw(x.rank() == 0 ? 1 : x.size(0)));
}

}  // namespace heed::nn
