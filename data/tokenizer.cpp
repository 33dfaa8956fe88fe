#include "data/tokenizer.h"

#include <algorithm>

#include "core/files.h"

namespace heed::data {

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode(text, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_with_specials(std::string_view text) const {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    size_t at = std::string_view::npos;
    const SpecialToken* first = nullptr;
    for (const SpecialToken& special : specials_) {
      const size_t found = text.find(special.text);
      const bool longer = first != nullptr && special.text.size() > first->text.size();
      if (found < at || (found == at && found != std::string_view::npos && longer)) {
        at = found;
        first = &special;
      }
    }
    encode(text.substr(0, at), ids);
    if (first == nullptr) break;
    ids.push_back(first->id);
    text.remove_prefix(at + first->text.size());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += token(id);
  if (leading_space_ && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

bool Tokenizer::is_special(TokenId id) const {
  return std::any_of(specials_.begin(), specials_.end(),
                     [id](const SpecialToken& special) { return special.id == id; });
}

std::optional<TokenId> Tokenizer::end_of_text() const {
  // GPT-2's and Qwen's name, Llama 3's, Llama 2's and Mistral's, Gemma's.
  for (const char* name : {kEndOfText, "<|end_of_text|>", "</s>", "<eos>"}) {
    for (const SpecialToken& special : specials_) {
      if (special.text == name) return special.id;
    }
  }
  return {};
}

int64_t Tokenizer::text_bytes(std::span<const TokenId> ids) const {
  int64_t bytes = 0;
  for (const TokenId id : ids) {
    if (!is_special(id)) bytes += static_cast<int64_t>(token(id).size());
  }
  return bytes;
}

void Tokenizer::save(const std::string& path) const {
  write_file_atomically(path, to_config().to_json(1));
}

}  // namespace heed::data
