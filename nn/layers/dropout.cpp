#include "nn/layers/dropout.h"

#include "autograd/ops/elementwise.h"
#include "nn/token_split.h"

namespace heed::nn {

namespace {

double checked(const char* layer, double p) {
  HEED_CHECK(p >= 0.0 && p < 1.0, "{}: p must be in [0, 1), got {}", layer, p);
  return p;
}

}  // namespace

void DropoutOptions::options(Options& o) {
  o.field("p", p, "probability of being zeroed", {.min = 0, .below = 1});
}

Dropout::Dropout(double probability) : p(checked("dropout", probability)) {}

Tensor Dropout::forward(const Tensor& x) {
  if (!training() || p == 0.0) return x;
  DrawPlace place{.first_row = first_draw(x.rank() == 0 ? 1 : x.size(0)),
                  .first_column = first_column,
                  .columns = columns};
  if (token_split() != nullptr && x.rank() > 2) {
    place.tokens = token_split()->own_positions(x.size(1));
  }
  return dropout(x, p, current_key(purpose()), place);
}

ChannelDropout::ChannelDropout(double probability) : p(checked("channel_dropout", probability)) {}

Tensor ChannelDropout::forward(const Tensor& x) {
  if (!training() || p == 0.0) return x;
  HEED_CHECK(x.rank() >= 2, "channel_dropout: wants [B, ..., C], got {}", x);
  Shape shape = x.shape();
  for (int i = 1; i + 1 < x.rank(); ++i) shape[i] = 1;
  const Tensor ones = Tensor::full(shape, 1.0, x.dtype(), x.device());
  return mul(x, dropout(ones, p, current_key(purpose()), {.first_row = first_draw(x.size(0))}));
}

}  // namespace heed::nn
