#include "recipes/engine/text_generator.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "autograd/tape.h"
#include "core/random.h"
#include "data/image_texts.h"
#include "recipes/engine/sampler.h"

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
  explicit Decoder(nn::LanguageModel& model, Tensor images = {})
      : model_(model), state_(model.start()), images_(std::move(images)) {}

  /// Takes in tokens; the logits after the last of them. No model writes the token that stands for
  /// an image's states.
  std::vector<float> feed(std::span<const data::TokenId> ids) {
    std::vector<float> logits = read(ids);
    if (const auto* reader = dynamic_cast<const nn::ImageReader*>(&model_)) {
      logits[static_cast<size_t>(reader->image_token())] = -std::numeric_limits<float>::infinity();
    }
    return logits;
  }

 private:
  std::vector<float> read(std::span<const data::TokenId> ids) {
    seen_.insert(seen_.end(), ids.begin(), ids.end());
    const auto fresh = static_cast<int64_t>(ids.size());
    if (state_->length() + fresh <= model_.context()) return decode(ids);
    HEED_CHECK(!images_.defined(), "generate: an image cannot be dropped from the context");
    // Past the context: start anew from the last three quarters of a window.
    const auto keep = static_cast<size_t>(std::max<int64_t>(1, model_.context() * 3 / 4));
    if (seen_.size() > keep) seen_.erase(seen_.begin(), seen_.end() - static_cast<int64_t>(keep));
    state_ = model_.start();
    return decode(seen_);
  }

  std::vector<float> decode(std::span<const data::TokenId> ids) {
    if (images_.defined() && state_->length() == 0) {
      auto& reader = dynamic_cast<nn::ImageReader&>(model_);
      return reader.decode_with(as_batch(ids), images_, *state_).to_vector<float>();
    }
    return model_.decode(as_batch(ids), *state_).to_vector<float>();
  }

  nn::LanguageModel& model_;
  std::unique_ptr<nn::DecodeState> state_;
  Tensor images_;  // that the first tokens hold
  std::vector<data::TokenId> seen_;
};

std::vector<data::TokenId> prompt_ids(const data::Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<data::TokenId> ids = tokenizer.start();
  tokenizer.encode(prompt, ids);
  if (!ids.empty()) return ids;
  if (const auto end = tokenizer.end_of_text()) return {*end};
  for (data::TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.token(id) == "\n") return {id};
  }
  return {0};
}

}  // namespace

std::vector<data::TokenId> prompt_ids(const data::Tokenizer& tokenizer, const std::string& prompt,
                                      const nn::ImageReader& reader) {
  constexpr std::string_view kImage = data::kImageMark;
  std::vector<data::TokenId> ids = tokenizer.start();
  const auto add_image = [&] {
    ids.insert(ids.end(), static_cast<size_t>(reader.image_tokens()),
               static_cast<data::TokenId>(reader.image_token()));
  };
  const size_t at = prompt.find(kImage);
  if (at == std::string::npos) {
    add_image();
    tokenizer.encode(prompt, ids);
    return ids;
  }
  if (prompt.find(kImage, at + 1) != std::string::npos) {
    fail_request("generate: the prompt speaks of several images, and one is given");
  }
  if (at > 0) tokenizer.encode(prompt.substr(0, at), ids);
  add_image();
  if (at + kImage.size() < prompt.size()) tokenizer.encode(prompt.substr(at + kImage.size()), ids);
  return ids;
}

TextWriter::TextWriter(const data::Tokenizer& tokenizer, EndTokens end,
                       const GenerateOptions& options, TokenCallback on_token)
    : tokenizer_(tokenizer),
      end_(std::move(end)),
      max_tokens_(options.max_tokens),
      on_token_(std::move(on_token)),
      stream_(options.stop) {
  result_.stopped_by = "max_tokens";
}

void TextWriter::show(const std::string& piece) {
  if (on_token_ && !piece.empty()) on_token_(piece);
}

bool TextWriter::push(data::TokenId id) {
  ++result_.tokens;
  result_.ids.push_back(id);
  if (end_.has(id)) {
    result_.stopped_by = "end";
    return false;
  }
  show(stream_.push(tokenizer_.token(id)));
  if (stream_.stopped()) {
    result_.stopped_by = "stop";
    return false;
  }
  return result_.tokens < max_tokens_;
}

Generated TextWriter::finish() {
  show(stream_.finish());
  result_.text = stream_.text();
  return result_;
}

int64_t known_ids(const data::Tokenizer& tokenizer, const EndTokens& end) {
  int64_t known = tokenizer.vocab_size();
  for (const data::TokenId id : end.ids()) known = std::max<int64_t>(known, id + 1);
  return known;
}

Generated write_text(const TokenFeed& feed, std::span<const data::TokenId> prompt,
                     const data::Tokenizer& tokenizer, const EndTokens& end,
                     const GenerateOptions& options, const TokenCallback& on_token) {
  const SamplerOptions sampler{options.greedy ? 0.0 : options.temperature, options.top_k,
                               options.top_p};
  const RandomStream random({static_cast<uint64_t>(options.seed), hash_name("generate"), 0});
  auto start = std::chrono::steady_clock::now();
  std::vector<float> logits = feed(prompt);
  const double prompt_seconds = seconds_since(start);

  const size_t known = std::min(logits.size(), static_cast<size_t>(known_ids(tokenizer, end)));
  start = std::chrono::steady_clock::now();
  TextWriter writer(tokenizer, end, options, on_token);
  for (;;) {
    constexpr double kTwoTo53 = 0x1p-53;
    const double u =
        static_cast<double>(random.word64(static_cast<uint64_t>(writer.tokens())) >> 11) * kTwoTo53;
    const auto id =
        static_cast<data::TokenId>(sample_token(std::span(logits).first(known), sampler, u));
    if (!writer.push(id)) break;
    logits = feed(std::span(&id, 1));
  }
  Generated result = writer.finish();
  result.prompt_tokens = std::ssize(prompt);
  result.prompt_seconds = prompt_seconds;
  result.seconds = seconds_since(start);
  return result;
}

Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        std::span<const data::TokenId> prompt, const EndTokens& end,
                        const GenerateOptions& options, const TokenCallback& on_token) {
  const NoGrad no_grad;
  Decoder decoder(model);
  return write_text([&](std::span<const data::TokenId> ids) { return decoder.feed(ids); }, prompt,
                    tokenizer, end, options, on_token);
}

Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const GenerateOptions& options,
                        const TokenCallback& on_token) {
  return generate_text(model, tokenizer, prompt_ids(tokenizer, prompt), tokenizer.end_of_text(),
                       options, on_token);
}

Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const Tensor& images, const EndTokens& end,
                        const GenerateOptions& options, const TokenCallback& on_token) {
  const auto* reader = dynamic_cast<const nn::ImageReader*>(&model);
  if (reader == nullptr) fail_request("generate: this model reads no images");
  const std::vector<data::TokenId> ids = prompt_ids(tokenizer, prompt, *reader);
  GenerateOptions own = options;
  const int64_t room = model.context() - std::ssize(ids);
  if (room < 1) {
    fail_request("generate: image and prompt are {} tokens, and the model's context {}", ids.size(),
                 model.context());
  }
  own.max_tokens = std::min(own.max_tokens, room);
  const NoGrad no_grad;
  Decoder decoder(model, images);
  Generated result =
      write_text([&](std::span<const data::TokenId> more) { return decoder.feed(more); }, ids,
                 tokenizer, end, own, on_token);
  if (own.max_tokens < options.max_tokens && result.stopped_by == "max_tokens") {
    result.stopped_by = "context";
  }
  return result;
}

}  // namespace heed::recipes
