// Token by token: a language model, its tokenizer and a sampler write a text.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer.h"
#include "nn/models/image_reader.h"
#include "nn/models/language_model.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/text_stream.h"

namespace heed::recipes {

/// The tokens that end a text: none, one, or several (of a conversation's turns).
class EndTokens {
 public:
  EndTokens(std::optional<data::TokenId> end) {
    if (end) ids_.push_back(*end);
  }
  EndTokens(data::TokenId end) : ids_({end}) {}
  explicit EndTokens(std::vector<data::TokenId> ids) : ids_(std::move(ids)) {}

  bool has(data::TokenId id) const { return std::find(ids_.begin(), ids_.end(), id) != ids_.end(); }
  const std::vector<data::TokenId>& ids() const { return ids_; }

 private:
  std::vector<data::TokenId> ids_;
};

/// The text that chosen tokens make: until one of `end`, a stop text, or as many tokens as options
/// allow.
class TextWriter {
 public:
  TextWriter(const data::Tokenizer& tokenizer, EndTokens end, const GenerateOptions& options,
             TokenCallback on_token);

  /// Takes in the next token; whether the text goes on.
  bool push(data::TokenId id);
  int64_t tokens() const { return result_.tokens; }
  /// The text, its tokens and what stopped it.
  Generated finish();

 private:
  void show(const std::string& piece);

  const data::Tokenizer& tokenizer_;
  EndTokens end_;
  int64_t max_tokens_;
  TokenCallback on_token_;
  TextStream stream_;
  Generated result_;
};

/// The ids that a text may hold: the tokenizer's and `end`. A model's vocabulary may be padded
/// beyond them.
int64_t known_ids(const data::Tokenizer& tokenizer, const EndTokens& end);

/// Takes in tokens; the logits after the last of them.
using TokenFeed = std::function<std::vector<float>(std::span<const data::TokenId>)>;

/// Draws a text token by token, the first after `prompt`; it ends as TextWriter says.
Generated write_text(const TokenFeed& feed, std::span<const data::TokenId> prompt,
                     const data::Tokenizer& tokenizer, const EndTokens& end,
                     const GenerateOptions& options, const TokenCallback& on_token);

/// Continues the prompt, with a key-value cache. An empty prompt starts from the end-of-text token,
/// or from a line break where the vocabulary has no such token. Past the model's context the oldest
/// quarter of the window is dropped and the rest read again.
Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const GenerateOptions& options,
                        const TokenCallback& on_token);

/// The same about one image [1, H, W, C] (see nn::ImageReader), whose tokens stand where the prompt
/// says "<image>", or else in front of it, up to `end`. What is written ends at the model's
/// context.
Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const Tensor& images, const EndTokens& end,
                        const GenerateOptions& options, const TokenCallback& on_token);
/// The ids of such a prompt: the image's tokens between those of its texts.
std::vector<data::TokenId> prompt_ids(const data::Tokenizer& tokenizer, const std::string& prompt,
                                      const nn::ImageReader& reader);

/// The same from ids, up to `end`.
Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        std::span<const data::TokenId> prompt, const EndTokens& end,
                        const GenerateOptions& options, const TokenCallback& on_token);

}  // namespace heed::recipes
