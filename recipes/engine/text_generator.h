// Token by token: a language model, its tokenizer and a sampler write a text.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "nn/models/language_model.h"
#include "recipes/engine/generate.h"

namespace heed::recipes {

/// Takes in tokens; the logits after the last of them.
using TokenFeed = std::function<std::vector<float>(std::span<const data::TokenId>)>;

/// Writes a text token by token, the first after `prompt`, until `end` (where there is one), a stop
/// text or as many tokens as options allow.
Generated write_text(const TokenFeed& feed, std::span<const data::TokenId> prompt,
                     const data::Tokenizer& tokenizer, std::optional<data::TokenId> end,
                     const GenerateOptions& options, const TokenCallback& on_token);

/// Continues the prompt, with a key-value cache. An empty prompt starts from the end-of-text token,
/// or from a line break where the vocabulary has no such token. Past the model's context the oldest
/// quarter of the window is dropped and the rest read again.
Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const GenerateOptions& options,
                        const TokenCallback& on_token);

}  // namespace heed::recipes
