// The chat template that comes with a model: how a conversation becomes one text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "data/added_tokens.h"
#include "data/chat/template.h"

namespace heed::data::chat {

/// What a template writes, and where names of special tokens in it are a user's words.
struct ChatText {
  std::string text;
  std::vector<size_t> plain;  ///< offsets, ascending (Tokenizer::encode_with_specials)
};

class ChatTemplate {
 public:
  /// `tokens` are the names of special tokens that it may write: "bos_token" and so on.
  ChatTemplate(std::string source, const std::string& name,
               std::vector<std::pair<std::string, std::string>> tokens = {});

  /// The text of a conversation, a list of {"role": ..., "content": ...}, with the beginning of
  /// the assistant's next turn behind it. `variables` (a map) are what else the template asks for
  /// ("tools", "enable_thinking"). Times are now's. RequestError for what the template refuses.
  std::string render(const Config& messages, const Config& variables = Config::map(),
                     bool add_generation_prompt = true) const;

  /// The same for a tokenizer with these special tokens. The template's are tokens, and so are
  /// those of the system's and the assistant's turns. Of all other turns the text is text, so that
  /// nobody who writes one can end it, or begin another's.
  ChatText write(const Config& messages, const std::vector<SpecialToken>& specials,
                 const Config& variables = Config::map(), bool add_generation_prompt = true) const;

  const std::string& source() const { return source_; }
  /// "eos_token" and so on; nullptr where the model names none.
  const std::string* token(const std::string& name) const;

 private:
  std::string source_;
  Template template_;
  std::vector<std::pair<std::string, std::string>> tokens_;
};

/// That of a folder as the Hugging Face hub has it: chat_template.jinja, or `chat_template` (of
/// several the one called "default") in tokenizer_config.json, with its special tokens. The names
/// of the folder's files begin with `prefix`. Nothing where there is none.
std::optional<ChatTemplate> find_chat_template(const std::string& folder,
                                               const std::string& prefix = "");

/// A template from a file, with the special tokens of a folder.
ChatTemplate read_chat_template(const std::string& file, const std::string& folder,
                                const std::string& prefix = "");

}  // namespace heed::data::chat
