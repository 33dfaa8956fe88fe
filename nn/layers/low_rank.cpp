#include "nn/layers/low_rank.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "nn/init.h"

namespace heed::nn {

LowRank::LowRank(int64_t in, int64_t out, const LowRankOptions& o)
    : down(in, o.rank, false),
      up(o.rank, out, false, init::zeros()),
      dropout(o.dropout),
      options_(o),
      scale_(o.alpha / static_cast<double>(o.rank)) {
  children({{"down", down}, {"up", up}, {"dropout", dropout}});
}

Tensor LowRank::forward(const Tensor& x) { return mul(up(down(dropout(x))), scale_); }

Tensor LowRank::matrix() const { return mul(matmul(up.weight, down.weight), scale_); }

}  // namespace heed::nn
