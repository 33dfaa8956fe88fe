// Token by token: a language model, its tokenizer and a sampler write a text.
#pragma once

#include <string>

#include "data/tokenizer.h"
#include "nn/models/language_model.h"
#include "recipes/engine/generate.h"

namespace heed::recipes {

/// Continues the prompt, with a key-value cache. An empty prompt starts from the end-of-text token,
/// or from a line break where the vocabulary has no such token. Past the model's context the oldest
/// quarter of the window is dropped and the rest read again.
Generated generate_text(nn::LanguageModel& model, const data::Tokenizer& tokenizer,
                        const std::string& prompt, const GenerateOptions& options,
                        const TokenCallback& on_token);

}  // namespace heed::recipes
