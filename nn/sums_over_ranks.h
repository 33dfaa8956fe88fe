// Modules that remember something of a batch (batch norm's statistics, k-means' centroids).
#pragma once

#include "autograd/ops/channel_norm.h"

namespace heed::nn {

struct SumsOverRanks {
  virtual ~SumsOverRanks() = default;
  /// Where ranks share a batch: what is remembered is then of all of it, as on one rank.
  SumOverRanks sum_over_ranks;
};

}  // namespace heed::nn
