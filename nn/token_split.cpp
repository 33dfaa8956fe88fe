#include "nn/token_split.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"

namespace heed::nn {

std::vector<int64_t> TokenSplit::own_positions(int64_t count) const {
  return positions(count * parts()).to_vector<int64_t>();
}

Tensor TokenSplit::own(const Tensor& x) const { return index_select(x, 1, positions(x.size(1))); }

Tensor mean_over_tokens(const TokenSplit* split, const Tensor& targets,
                        const std::function<Tensor(const Tensor& own, Reduction)>& loss) {
  if (split == nullptr) return loss(targets, Reduction::mean);
  const std::vector<int64_t> all = targets.to_vector<int64_t>();
  const auto counted =
      static_cast<double>(std::ssize(all) - std::count(all.begin(), all.end(), int64_t{-100}));
  const Tensor sum = split->sum(loss(split->own(targets), Reduction::sum));
  return counted > 0 ? mul(sum, 1.0 / counted) : sum;
}

}  // namespace heed::nn
