// Chat: a trained language model answers in a conversation, which its chat template writes down.
#pragma once

#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "nn/models/language_model.h"
#include "recipes/engine/evaluate.h"

namespace heed::recipes {

class Chat {
 public:
  /// Of a run that has a chat template, from an import or out of `template_file` where that is
  /// given. RequestError for a task that goes on with no text, or a run without a template. `run`
  /// must outlive this.
  explicit Chat(const LoadedRun& run, const std::string& template_file = "");

  /// The assistant's next turn after `messages`, a list of {"role": ..., "content": ...}; it ends
  /// at a token that the model ends turns with. `variables`: see ChatTemplate::render().
  Generated answer(const Config& messages, const GenerateOptions& options,
                   const TokenCallback& on_token = {}, const Config& variables = Config::map());

  /// What the model reads of a conversation.
  std::string prompt(const Config& messages, const Config& variables = Config::map()) const;
  /// The tokens that end a turn: eos_token_id of generation_config.json and config.json, the
  /// tokenizer's eos_token, and the marks of common templates that this one writes.
  const std::vector<data::TokenId>& ends() const { return ends_; }

 private:
  nn::LanguageModel* model_;
  const data::Tokenizer* tokenizer_;
  data::chat::ChatTemplate template_;
  std::vector<data::TokenId> ends_;
};

}  // namespace heed::recipes
