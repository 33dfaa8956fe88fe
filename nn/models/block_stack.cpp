#include "nn/models/block_stack.h"

#include "autograd/ops/elementwise.h"
#include "nn/extra_losses.h"

namespace heed::nn {

void BlockStackBase::share(std::shared_ptr<StackStage> stage) {
  HEED_CHECK(!stage_, "block stack: its blocks are shared already");
  for (const auto& [path, module] : named_modules()) {
    const auto* adds = dynamic_cast<const AddsLosses*>(module);
    if (adds == nullptr || !adds->adds_losses()) continue;
    fail_request(
        "parallel.pipeline: {} adds a loss to the model's (the commitment to centroids), which "
        "stages do not hand on: set its weight to 0, or parallel.pipeline to 1",
        path);
  }
  stage_ = std::move(stage);
  for (int64_t i = 0; i < block_count(); ++i) {
    if (!stage_->owns(i)) block_module(i).let_go();
  }
}

void BlockStackBase::share_tokens(const TensorSplitPointer& split) {
  HEED_CHECK(!token_split(), "block stack: other ranks share its tokens already");
  tokens_ = split;
  split_tokens(split->tokens());
  // Regions have all tokens.
  for (const auto& [path, module] : named_modules()) {
    const bool region = dynamic_cast<AttentionMechanism*>(module) != nullptr ||
                        dynamic_cast<FeedForward*>(module) != nullptr;
    if (region) module->split_tokens(nullptr);
  }
}

int64_t BlockStackBase::tokens_multiple() const {
  if (tokens_) return tokens_->parts();
  return token_split() ? token_split()->multiple() : 1;
}

Stream checkpoint_block(const std::function<Stream(const Stream&)>& block, const Stream& in) {
  const auto adds = std::make_shared<bool>(false);
  Stream out = checkpoint_many(
      [block, adds](const Stream& x) {
        const ExtraLosses own;
        Stream y = block(x);
        *adds = own.sum().defined();
        if (*adds) y.push_back(own.sum());
        return y;
      },
      in);
  if (!*adds) return out;
  ExtraLosses::add(out.back());
  out.pop_back();
  return out;
}

Tensor sum_of(const Stream& stream) {
  Tensor total = stream.at(0);
  for (size_t i = 1; i < stream.size(); ++i) total = add(total, stream[i]);
  return total;
}

}  // namespace heed::nn
