#include "nn/models/block_stack.h"

#include "autograd/ops/elementwise.h"

namespace heed::nn {

void BlockStackBase::share(std::shared_ptr<StackStage> stage) {
  HEED_CHECK(!stage_, "block stack: its blocks are shared already");
  stage_ = std::move(stage);
  for (int64_t i = 0; i < block_count(); ++i) {
    if (!stage_->owns(i)) block_module(i).let_go();
  }
}

Tensor sum_of(const Stream& stream) {
  Tensor total = stream.at(0);
  for (size_t i = 1; i < stream.size(); ++i) total = add(total, stream[i]);
  return total;
}

}  // namespace heed::nn
