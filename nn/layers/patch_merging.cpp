#include "nn/layers/patch_merging.h"

#include "autograd/ops/layout.h"
#include "autograd/ops/view.h"

namespace heed::nn {

void PatchMergingOptions::options(Options& o) {
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
  o.field("out", out, "features of a merged token; 0 means 2 x dim", {.min = 0});
  o.field("eps", eps, "added to the norm's variance", {.above = 0});
}

PatchMerging::PatchMerging(const PatchMergingOptions& o, Init weight_init)
    : norm({.dim = 4 * o.dim, .eps = o.eps}),
      reduction(4 * o.dim, o.out > 0 ? o.out : 2 * o.dim, false, std::move(weight_init)) {
  children({{"norm", norm}, {"reduction", reduction}});
}

Tensor PatchMerging::forward(const Tensor& x) {
  HEED_CHECK(x.rank() == 4 && 4 * x.size(3) == reduction.weight.size(1),
             "patch_merging: wants [B, H, W, {}], got {}", reduction.weight.size(1) / 4, x);
  const int64_t batch = x.size(0), dim = x.size(3);
  const int64_t rows = (x.size(1) + 1) / 2, columns = (x.size(2) + 1) / 2;
  const bool odd = x.size(1) % 2 != 0 || x.size(2) % 2 != 0;
  const Tensor even =
      odd ? pad(x, {{1, 0, 2 * rows - x.size(1)}, {2, 0, 2 * columns - x.size(2)}}) : x;
  // The column within a square is the slower of its two indices.
  const Tensor squares =
      permute(reshape(even, {batch, rows, 2, columns, 2, dim}), {0, 1, 3, 4, 2, 5});
  return reduction(norm(reshape(squares, {batch, rows, columns, 4 * dim})));
}

}  // namespace heed::nn
