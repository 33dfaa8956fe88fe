#include "nn/token_split.h"

#include "autograd/ops/index.h"

namespace heed::nn {

std::vector<int64_t> TokenSplit::own_positions(int64_t count) const {
  return positions(count * parts()).to_vector<int64_t>();
}

Tensor TokenSplit::own(const Tensor& x) const { return index_select(x, 1, positions(x.size(1))); }

}  // namespace heed::nn
