#include "recipes/engine/text_generator.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "autograd/tape.h"
#include "core/random.h"
#include "recipes/engine/sampler.h"
#include "recipes/engine/text_stream.h"

namespace heed::recipes {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Tensor as_batch(std::span<const data::TokenId> ids) {
  const auto count = static_cast<int64_t>(ids.size());
  return Tensor::from(std::vector<int64_t>(ids.begin(), ids.end()), {1, count});
}

/// A decoder with its state: keeps the last tokens so that it can go on past the context.
class Decoder {
 public:
  explicit Decoder(nn::LanguageModel& model) : model_(model), state_(model.start()) {}

  /// Takes in tokens; the logits after the last of them.
  std::vector<float> feed(std::span<const data::TokenId> ids) {
    seen_.insert(seen_.end(), ids.begin(), ids.end());
    const auto fresh = static_cast<int64_t>(ids.size());
    if (state_->length() + fresh <= model_.context()) return decode(ids);
    // Past the context: start anew from the last three quarters of a window.
    const auto keep = static_cast<size_t>(std::max<int64_t>(1, model_.context() * 3 / 4));
    if (seen_.size() > keep) seen_.erase(seen_.begin(), seen_.end() - static_cast<int64_t>(keep));
    state_ = model_.start();
    return decode(seen_);
  }

 private:
  std::vector<float> decode(std::span<const data::TokenId> ids) {
    return model_.decode(as_batch(ids), *state_).to_vector<float>();
  }

  nn::LanguageModel& model_;
  std::unique_ptr<nn::DecodeState> state_;
  std::vector<data::TokenId> seen_;
};

std::vector<data::TokenId> prompt_ids(const data::Tokenizer& tokenizer, const std::string& prompt) {
  if (!prompt.empty()) return tokenizer.encode(prompt);
  if (const auto end = tokenizer.end_of_text()) return {*end};
  for (data::TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.token(id) == "\n") return {id};
  }
  return {0};
}

}  // namespace

Generated write_text(const TokenFeed& feed, std::span<const data::TokenId> prompt,
                     const data::Tokenizer& tokenizer, std::optional<data::TokenId> end,
                     const GenerateOptions& options, const TokenCallback& on_token) {
  const SamplerOptions sampler{options.greedy ? 0.0 : options.temperature, options.top_k,
                               options.top_p};
  const RandomStream random({static_cast<uint64_t>(options.seed), hash_name("generate"), 0});

  Generated result;
  result.prompt_tokens = std::ssize(prompt);
  result.stopped_by = "max_tokens";
  auto start = std::chrono::steady_clock::now();
  std::vector<float> logits = feed(prompt);
  result.prompt_seconds = seconds_since(start);

  // A model's vocabulary may be padded beyond the tokenizer's and the end.
  const int64_t ids = std::max<int64_t>(tokenizer.vocab_size(), end ? *end + 1 : 0);
  const size_t known = std::min(logits.size(), static_cast<size_t>(ids));
  start = std::chrono::steady_clock::now();
  TextStream stream(options.stop);
  const auto show = [&](const std::string& piece) {
    if (on_token && !piece.empty()) on_token(piece);
  };
  while (result.tokens < options.max_tokens) {
    constexpr double kTwoTo53 = 0x1p-53;
    const double u =
        static_cast<double>(random.word64(static_cast<uint64_t>(result.tokens)) >> 11) * kTwoTo53;
    const auto id =
        static_cast<data::TokenId>(sample_token(std::span(logits).first(known), sampler, u));
    ++result.tokens;
    if (end && id == *end) {
      result.stopped_by = "end";
      break;
    }
    show(stream.push(tokenizer.token(id)));
    if (stream.stopped()) {
      result.stopped_by = "stop";
      break;
    }
    if (result.tokens < options.max_tokens) logits = feed(std::span(&id, 1));
  }
  show(stream.finish());
  result.text = stream.text();
  result.seconds = seconds_since(start);
  return result;
}

Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const GenerateOptions& options,
                        const TokenCallback& on_token) {
  const NoGrad no_grad;
  Decoder decoder(model);
  return write_text([&](std::span<const data::TokenId> ids) { return decoder.feed(ids); },
                    prompt_ids(tokenizer, prompt), tokenizer, tokenizer.end_of_text(), options,
                    on_token);
}

}  // namespace heed::recipes
