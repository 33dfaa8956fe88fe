#include "distributed/tensor_parallel.h"

#include <map>
#include <numeric>

#include "autograd/ops/view.h"
#include "distributed/collectives.h"
#include "kernels/copy/copy.h"
#include "nn/attention/mechanism.h"
#include "nn/layers/feed_forward.h"
#include "nn/models/block_stack.h"
#include "nn/models/dense_pyramid.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "nn/models/pyramid.h"
#include "nn/models/vit.h"
#include "optim/optimizer.h"

namespace heed {
namespace {

class SplitOverRanks final : public nn::TensorSplit {
 public:
  explicit SplitOverRanks(Communicator& ranks) : ranks_(ranks) {}

  int64_t part() const override { return ranks_.rank(); }
  int64_t parts() const override { return ranks_.size(); }
  Tensor enter(const Tensor& x) const override { return tokens_shared() ? all_tokens(x) : x; }
  Tensor leave(const Tensor& x) const override {
    return tokens_shared() ? reduce_scatter(x, 1, ranks_) : all_reduce(x, ranks_);
  }
  Tensor own_tokens(const Tensor& x) const override;
  Tensor all_tokens(const Tensor& x) const override { return all_gather(x, 1, ranks_); }
  std::shared_ptr<const nn::TokenSplit> tokens() const override;
  Tensor whole(const Tensor& x, int64_t n) const override;
  const TensorSplit& neighbours(int64_t count) const override;
  std::shared_ptr<const SharedClasses> classes(int64_t n) const override;

 private:
  /// Some of the ranks, as a split of their own.
  struct Neighbours {
    std::unique_ptr<Communicator> ranks;
    std::unique_ptr<const TensorSplit> split;
  };

  Communicator& ranks_;
  mutable std::map<int64_t, Neighbours> neighbours_;  // by their count, made when asked for
};

// Tokens one behind the other, for those who draw numbers by their places.
class TokensInOrder final : public nn::TokenSplit {
 public:
  explicit TokensInOrder(Communicator& ranks) : ranks_(ranks) {}

  int64_t parts() const override { return ranks_.size(); }
  int64_t multiple() const override { return ranks_.size(); }
  Tensor positions(int64_t tokens) const override {
    if (tokens % parts() != 0) {
      fail_request("parallel.share_norms: {} ranks cannot share {} tokens", parts(), tokens);
    }
    std::vector<int64_t> own(static_cast<size_t>(tokens / parts()));
    std::iota(own.begin(), own.end(), ranks_.rank() * (tokens / parts()));
    return Tensor::from(own, {std::ssize(own)});
  }
  Tensor whole(const Tensor& x) const override { return all_gather(x, 1, ranks_); }
  Tensor sum(const Tensor& x) const override { return all_reduce(x, ranks_); }
  AttentionResult attention(const Tensor&, const Tensor&, const Tensor&,
                            const AttentionSpec&) const override {
    fail("attention has all tokens where ranks share its heads");
  }

 private:
  Communicator& ranks_;
};

Tensor SplitOverRanks::own_tokens(const Tensor& x) const {
  const int64_t n = TokensInOrder(ranks_).positions(x.size(1)).numel();
  return slice(x, 1, part() * n, (part() + 1) * n);
}

std::shared_ptr<const nn::TokenSplit> SplitOverRanks::tokens() const {
  return std::make_shared<const TokensInOrder>(ranks_);
}

// Collectives want equal parts: smaller ones are padded on their way.
Tensor SplitOverRanks::whole(const Tensor& x, int64_t n) const {
  const nn::Shard shard = this->shard(0, {n});
  const int64_t most = shard.part_size(parts() - 1);
  Tensor own = x;
  if (x.size(-1) < most) {
    Shape rest = x.shape();
    rest[-1] = most - x.size(-1);
    own = concat({x, Tensor::zeros(rest, x.dtype(), x.device())}, -1);
  }
  const Tensor all = all_gather(own, -1, ranks_);
  if (n == most * parts()) return all;
  std::vector<Tensor> pieces;
  for (int64_t p = 0; p < parts(); ++p)
    pieces.push_back(slice(all, -1, p * most, p * most + shard.part_size(p)));
  return concat(pieces, -1);
}

const nn::TensorSplit& SplitOverRanks::neighbours(int64_t count) const {
  HEED_CHECK(count > 0 && parts() % count == 0, "split: {} parts by {}", parts(), count);
  if (count == parts()) return *this;
  Neighbours& some = neighbours_[count];
  if (!some.split) {
    some.ranks = ranks_.split(static_cast<int>(part() / count), static_cast<int>(part()));
    some.split = std::make_unique<const SplitOverRanks>(*some.ranks);
  }
  return *some.split;
}

std::shared_ptr<const SharedClasses> SplitOverRanks::classes(int64_t n) const {
  SharedClasses shared{.first = first(n), .classes = n, .parts = parts(), .gather = {}, .sum = {}};
  shared.gather = [&ranks = ranks_](const Tensor& x) {
    Shape shape = x.shape();
    shape.insert(0, ranks.size());
    const Tensor all = Tensor::empty(shape, x.dtype(), x.device());
    ranks.all_gather(kernels::contiguous(x), all);
    return all;
  };
  shared.sum = [&ranks = ranks_](double value) { return ranks.all_reduce_number(value); };
  return std::make_shared<const SharedClasses>(std::move(shared));
}

const char* name_of(SplitKind kind) {
  switch (kind) {
    case SplitKind::heads:
      return "heads";
    case SplitKind::hidden:
      return "hidden features";
    case SplitKind::vocabulary:
      return "vocabulary";
  }
  return "";
}

// False where the module is not of the kind.
bool split_module(nn::Module& module, SplitKind kind, const nn::TensorSplitPointer& split) {
  if (kind == SplitKind::heads) {
    auto* attention = dynamic_cast<nn::AttentionMechanism*>(&module);
    if (attention != nullptr) attention->split_heads(split);
    return attention != nullptr;
  }
  if (kind == SplitKind::hidden) {
    auto* layer = dynamic_cast<nn::FeedForward*>(&module);
    if (layer != nullptr) layer->split_hidden(split);
    return layer != nullptr;
  }
  auto* model = dynamic_cast<nn::SharesVocabulary*>(&module);
  if (model != nullptr) model->split_vocabulary(split);
  return model != nullptr;
}

}  // namespace

nn::TensorSplitPointer tensor_split(Communicator& ranks) {
  return std::make_shared<const SplitOverRanks>(ranks);
}

SplitPlan split_plan(const nn::Module& model) {
  const SplitPlan blocks = {{"blocks.*.attn", SplitKind::heads},
                            {"blocks.*.mlp", SplitKind::hidden}};
  if (dynamic_cast<const nn::Vit*>(&model) != nullptr) return blocks;
  if (dynamic_cast<const nn::Pyramid*>(&model) != nullptr ||
      dynamic_cast<const nn::DensePyramid*>(&model) != nullptr) {
    return {{"stages.*.attn", SplitKind::heads}, {"stages.*.mlp", SplitKind::hidden}};
  }
  if (dynamic_cast<const nn::Gpt*>(&model) == nullptr &&
      dynamic_cast<const nn::Encoder*>(&model) == nullptr) {
    fail_request(
        "parallel.tensor: ranks share the matrices of a gpt, an encoder, a vit or a pyramid; this "
        "recipe's model is none of these");
  }
  SplitPlan plan = blocks;
  plan.push_back({"", SplitKind::vocabulary});
  return plan;
}

void split_tensors(nn::Module& model, Communicator& ranks, const SplitPlan& plan, bool tokens) {
  if (ranks.size() == 1) return;
  const nn::TensorSplitPointer split = tensor_split(ranks);
  const auto modules = model.named_modules();
  for (const SplitRule& rule : plan) {
    bool any = false;
    for (const auto& [path, module] : modules) {
      if (!optim::glob_match(rule.pattern, path)) continue;
      try {
        any |= split_module(*module, rule.kind, split);
      } catch (const RequestError& error) {
        fail_request("parallel.tensor: {}: {}", path.empty() ? "the model" : path, error.what());
      }
    }
    if (!any) {
      fail_request("parallel.tensor: '{}' matches no module with {} to share", rule.pattern,
                   name_of(rule.kind));
    }
  }
  if (!tokens) return;
  const auto* sequences = dynamic_cast<const nn::SharesTokens*>(&model);
  if (sequences == nullptr) {
    fail_request(
        "parallel.share_norms: between its blocks this model's tokens are maps, which ranks do not "
        "share");
  }
  split->tokens()->positions(sequences->sequence_tokens());  // a RequestError where they don't fit
  for (const auto& [path, module] : modules) {
    if (auto* blocks = dynamic_cast<nn::BlockStackBase*>(module)) blocks->share_tokens(split);
  }
}

}  // namespace heed
