#include "distributed/gathered_blocks.h"

#include "autograd/checkpoint.h"
#include "autograd/tape.h"
#include "nn/models/block_stack.h"

namespace heed {
namespace {

// Calls fn(stack, unit of its first block).
template <class Fn>
void for_stacks(nn::Module& module, const Fn& fn) {
  int64_t next = 1;
  for (const auto& [path, part] : module.named_modules()) {
    auto* stack = dynamic_cast<nn::BlockStackBase*>(part);
    if (stack == nullptr) continue;
    fn(*stack, next);
    next += stack->block_count();
  }
}

}  // namespace

BlockUnits::BlockUnits(nn::Module& module) {
  for_stacks(module, [this](nn::BlockStackBase& stack, int64_t first) {
    for (int64_t i = 0; i < stack.block_count(); ++i) {
      for (const auto& named : stack.block_module(i).named_tensors(false)) {
        const auto [unit, fresh] = units_.try_emplace(named.tensor->autograd().get(), first + i);
        if (!fresh) unit->second = 0;
      }
    }
    count_ += stack.block_count();
  });
}

int64_t BlockUnits::of(const Tensor& parameter) const {
  const auto found = units_.find(parameter.autograd().get());
  return found == units_.end() ? 0 : found->second;
}

// Nothing computes at a block's edges, but the tape passes there: from above before the block's own
// backward pass, below it after.
void gather_blocks_on_use(nn::Module& module, ShardedParameters& parameters) {
  for_stacks(module, [&parameters](nn::BlockStackBase& stack, int64_t first) {
    const int64_t last = first + stack.block_count() - 1;
    const auto enter = [&parameters, first, last](int64_t unit, int64_t next) {
      parameters.require(unit);
      if (first <= next && next <= last) parameters.prefetch(next);
    };
    stack.hooks.before = [&parameters, first, enter](int64_t i, nn::Module&, nn::Stream in) {
      const int64_t unit = first + i;
      enter(unit, recomputing() ? unit - 1 : unit + 1);
      return record_many("block_begins", in, in,
                         [&parameters, unit](const Gradients& gradients, const Wanted&) {
                           parameters.release(unit);
                           return gradients;
                         });
    };
    stack.hooks.after = [&parameters, first, last, enter](int64_t i, nn::Module&, nn::Stream out) {
      const int64_t unit = first + i;
      // The backward pass comes at once to the last block, and to one that is computed again.
      if (!recomputing() && !(unit == last && recording())) parameters.release(unit);
      return record_many("block_ends", out, out,
                         [enter, unit](const Gradients& gradients, const Wanted&) {
                           enter(unit, unit - 1);
                           return gradients;
                         });
    };
  });
}

}  // namespace heed
