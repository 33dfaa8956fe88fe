#include "distributed/batch_statistics.h"

#include <algorithm>
#include <vector>

#include "nn/sums_over_ranks.h"

namespace heed {

SumOverRanks sum_over(Communicator& ranks) {
  return [&ranks](std::span<double> numbers) {
    const Tensor sums = Tensor::from(std::vector<double>(numbers.begin(), numbers.end()),
                                     {static_cast<int64_t>(numbers.size())});
    ranks.all_reduce(sums);
    std::copy_n(sums.data<double>(), numbers.size(), numbers.begin());
  };
}

void share_batch_statistics(nn::Module& module, Communicator& ranks) {
  if (ranks.size() == 1) return;
  for (const auto& [path, part] : module.named_modules()) {
    if (auto* keeps = dynamic_cast<nn::SumsOverRanks*>(part)) {
      keeps->sum_over_ranks = sum_over(ranks);
    }
  }
}

void average_buffers(nn::Module& module, Communicator& ranks) {
  if (ranks.size() == 1) return;
  for (const auto& named : module.named_tensors()) {
    if (!named.trained && is_floating(named.tensor->dtype())) {
      ranks.all_reduce(*named.tensor, ReduceOp::mean);
    }
  }
}

}  // namespace heed
