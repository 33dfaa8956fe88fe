// The stack of blocks of a host model, and the one loop over it. Ranks that share the layers of a
// model (distributed/pipeline.h) cut it here.
//
// What passes from block to block is a stream: tensors [B, N, C] that add up to the residual stream
// (one, or the stream and what is still to be added to it).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "autograd/checkpoint.h"
#include "nn/attention/mechanism.h"
#include "nn/module.h"

namespace heed::nn {

using Stream = std::vector<Tensor>;

/// The stream as one tensor.
Tensor sum_of(const Stream& stream);

/// One of the stages that share a stack's blocks, as the stack sees it.
class StackStage {
 public:
  virtual ~StackStage() = default;

  /// The blocks of this stage: first_block() <= i < end_block().
  virtual int64_t first_block() const = 0;
  virtual int64_t end_block() const = 0;
  bool owns(int64_t block) const { return first_block() <= block && block < end_block(); }
  /// Whether the stack begins here.
  bool begins() const { return first_block() == 0; }

  /// What the stage before this one has sent, [B, N, C].
  virtual Tensor enter(const Shape& shape, DType dtype) = 0;
  /// Takes what the last block of this stage gave. What comes out of the whole stack when nothing
  /// is recorded, on every stage; while recording it is the last stage's alone to go on, and the
  /// others' forward pass ends by StageEnd.
  virtual Tensor leave(const Tensor& x) = 0;
};

/// Thrown, not as an error, where a recorded forward pass goes on at another stage: `output` is
/// what this stage has sent.
struct StageEnd {
  Tensor output;
};

/// Around the forward pass of every block, when it is recomputed too: what happens to the stream
/// before the block and after it (gathering its weights and letting go of them).
struct BlockHooks {
  std::function<Stream(int64_t block, Module&module, Stream in)> before, after;
};

/// checkpoint_many for a block; losses that it adds (nn/extra_losses.h) are outputs of its as well.
Stream checkpoint_block(const std::function<Stream(const Stream&)>& block, const Stream& in);

/// A stack of blocks of any kind.
class BlockStackBase : public Module {
 public:
  virtual int64_t block_count() const = 0;
  virtual Module& block_module(int64_t block) = 0;

  /// Keeps the blocks of one stage; the others forget their parameters. Once. A RequestError where
  /// layers add losses (nn/extra_losses.h), which stages do not hand on.
  void share(std::shared_ptr<StackStage> stage);
  const StackStage* stage() const { return stage_.get(); }

  /// In training, ranks that share the blocks' matrices each hold their own tokens between the
  /// blocks' regions. Before or after the split; what comes out has all tokens.
  void share_tokens(const TensorSplitPointer& split);
  /// What the number of tokens must be a multiple of for ranks to share them.
  int64_t tokens_multiple() const;

  BlockHooks hooks;

 protected:
  std::shared_ptr<StackStage> stage_;
  TensorSplitPointer tokens_;
};

/// Blocks have `Stream forward(const Stream&, const AttentionContext&)`.
template <class Block>
class BlockStack : public BlockStackBase {
 public:
  template <class... Args>
  Block& emplace(Args&&... args) {
    blocks_.push_back(std::make_unique<Block>(std::forward<Args>(args)...));
    child(std::to_string(blocks_.size() - 1), *blocks_.back());
    return *blocks_.back();
  }
  size_t size() const { return blocks_.size(); }
  Block& operator[](size_t i) { return *blocks_[i]; }
  auto begin() const { return blocks_.begin(); }
  auto end() const { return blocks_.end(); }

  int64_t block_count() const override { return static_cast<int64_t>(blocks_.size()); }
  Module& block_module(int64_t block) override { return *blocks_.at(static_cast<size_t>(block)); }

  /// Runs the blocks on what `start` makes, [B, N, C] = `shape` of `dtype`; block i gets the
  /// context with layer i. With `checkpointing` each block is recomputed in the backward pass.
  Stream run(const Shape& shape, DType dtype, const std::function<Tensor()>& start,
             AttentionContext context, bool checkpointing) {
    const int64_t first = stage_ ? stage_->first_block() : 0;
    const int64_t end = stage_ ? stage_->end_block() : block_count();
    const bool shared = tokens_ && training() && context.cache == nullptr;
    Shape own = shape;
    if (shared) own[1] /= tokens_->parts();
    Stream stream;
    if (stage_ && !stage_->begins()) {
      stream = {stage_->enter(own, dtype)};
    } else {
      stream = {shared ? tokens_->own_tokens(start()) : start()};
    }
    for (int64_t i = first; i < end; ++i) {
      context.layer = i;
      const auto body = [this, i, context, shared](const Stream& in) {
        const TensorSplit::Between between(tokens_.get(), shared);
        Block& block = *blocks_[static_cast<size_t>(i)];
        Stream out = block.forward(hooks.before ? hooks.before(i, block, in) : in, context);
        return hooks.after ? hooks.after(i, block, std::move(out)) : out;
      };
      stream = checkpointing && recording() ? checkpoint_block(body, stream) : body(stream);
    }
    if (stage_) stream = {stage_->leave(sum_of(stream))};
    return shared ? Stream{tokens_->all_tokens(sum_of(stream))} : stream;
  }

 private:
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace heed::nn
