#include "distributed/sequence_parallel.h"

#include "distributed/collectives.h"
#include "distributed/head_exchange.h"
#include "distributed/ring_attention.h"
#include "distributed/ring_self_attention.h"
#include "distributed/shared_tokens.h"
#include "nn/attention/cross_attention.h"
#include "nn/attention/mechanism.h"

namespace heed {
namespace {

constexpr SequenceMethod kMethods[] = {SequenceMethod::ring, SequenceMethod::rsa,
                                       SequenceMethod::heads};

}  // namespace

const char* name_of(SequenceMethod method) {
  switch (method) {
    case SequenceMethod::ring:
      return "ring";
    case SequenceMethod::rsa:
      return "rsa";
    default:
      return "heads";
  }
}

SequenceMethod sequence_method(const std::string& name) {
  std::vector<std::string> names;
  for (const SequenceMethod method : kMethods) {
    if (name == name_of(method)) return method;
    names.emplace_back(name_of(method));
  }
  fail_request("unknown way to share sequences '{}'{}", name, did_you_mean(name, names));
}

Tensor SequenceParallel::positions(int64_t tokens) const {
  const auto own = token_positions(layout_, tokens, ranks_.size(), ranks_.rank());
  return Tensor::from(own, {static_cast<int64_t>(own.size())});
}

Tensor SequenceParallel::whole(const Tensor& x) const {
  return gather_tokens(x, 1, ranks_, layout_);
}

Tensor SequenceParallel::sum(const Tensor& x) const { return all_reduce(x, ranks_); }

AttentionResult SequenceParallel::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                            const AttentionSpec& spec) const {
  switch (method_) {
    case SequenceMethod::ring:
      return ring_attention(q, k, v, spec, ranks_, layout_);
    case SequenceMethod::rsa:
      return ring_self_attention(q, k, v, spec, ranks_, layout_);
    default:
      return head_exchange_attention(q, k, v, spec, ranks_, layout_, false);
  }
}

namespace {

/// The attentions of a module; a RequestError that names one which ranks cannot share.
std::vector<nn::AttentionMechanism*> sharing_mechanisms(nn::Module& module) {
  std::vector<nn::AttentionMechanism*> mechanisms;
  for (const auto& [path, part] : module.named_modules()) {
    auto* mechanism = dynamic_cast<nn::AttentionMechanism*>(part);
    if (dynamic_cast<nn::CrossAttention*>(part) != nullptr ||
        (mechanism != nullptr && !mechanism->shares_tokens())) {
      fail_request(
          "{}: this attention mechanism reads all tokens of a sequence at once, which "
          "ranks cannot share (parallel.sequence must be 1)",
          path.empty() ? "attention" : path);
    }
    if (mechanism != nullptr) mechanisms.push_back(mechanism);
  }
  return mechanisms;
}

}  // namespace

void share_tokens(nn::Module& module, std::shared_ptr<const nn::TokenSplit> split) {
  for (nn::AttentionMechanism* mechanism : sharing_mechanisms(module))
    mechanism->keep_own_tokens(*split);
  module.split_tokens(std::move(split));
}

void share_sequences(nn::Module& model, std::shared_ptr<const nn::TokenSplit> split) {
  sharing_mechanisms(model);
  const auto* shares = dynamic_cast<const nn::SharesTokens*>(&model);
  if (shares == nullptr) {
    fail_request(
        "parallel.sequence: this model does not know how to share the tokens of a sequence among "
        "ranks (gpt, encoder and vit do)");
  }
  split->positions(shares->sequence_tokens());  // a RequestError where they do not share out
  share_tokens(model, std::move(split));
}

}  // namespace heed
