#include "nn/layers/drop_path.h"

#include "autograd/ops/elementwise.h"

namespace heed::nn {

void DropPathOptions::options(Options& o) {
  o.field("p", p, "probability of a sample's branch being dropped", {.min = 0, .below = 1});
}

DropPath::DropPath(double probability) : p(probability) {
  HEED_CHECK(p >= 0.0 && p < 1.0, "drop_path: p must be in [0, 1), got {}", p);
}

Tensor DropPath::forward(const Tensor& x) {
  if (!training() || p == 0.0) return x;
  HEED_CHECK(x.rank() >= 1, "drop_path: wants [B, ...], got {}", x);
  Shape shape{x.size(0)};
  for (int i = 1; i < x.rank(); ++i) shape.push_back(1);
  return mul(x, dropout(Tensor::full(shape, 1.0, x.dtype(), x.device()), p, current_key(purpose()),
                        {.first_row = first_draw(x.size(0))}));
}

double drop_path_of_layer(double last, int64_t layer, int64_t layers) {
  return layers < 2 ? last : last * static_cast<double>(layer) / static_cast<double>(layers - 1);
}

}  // namespace heed::nn
