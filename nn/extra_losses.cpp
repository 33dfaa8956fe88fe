#include "nn/extra_losses.h"

#include <utility>

#include "autograd/ops/elementwise.h"

namespace heed::nn {
namespace {

thread_local ExtraLosses* innermost = nullptr;

}  // namespace

ExtraLosses::ExtraLosses() : outer_(std::exchange(innermost, this)) {}
ExtraLosses::~ExtraLosses() { innermost = outer_; }

bool ExtraLosses::wanted() { return innermost != nullptr; }

void ExtraLosses::add(const Tensor& loss) {
  HEED_CHECK(loss.rank() == 0, "extra losses: {} is no single number", loss);
  if (!wanted()) return;
  Tensor& sum = innermost->sum_;
  sum = sum.defined() ? heed::add(sum, loss) : loss;
}

Tensor ExtraLosses::added_to(const Tensor& loss) const {
  return sum_.defined() ? heed::add(loss, sum_) : loss;
}

}  // namespace heed::nn
