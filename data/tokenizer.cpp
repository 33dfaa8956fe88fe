#include "data/tokenizer.h"

#include <algorithm>

#include "core/files.h"

namespace heed::data {

void Tokenizer::set_specials(std::vector<SpecialToken> specials, bool normalizes) {
  specials_ = std::move(specials);
  std::vector<SpecialToken> looked_for;
  special_ids_.clear();
  for (const SpecialToken& token : specials_) {
    special_ids_.push_back(token.id);
    if (!(normalizes && token.normalized)) looked_for.push_back(token);
  }
  std::sort(special_ids_.begin(), special_ids_.end());
  added_ = AddedTokens(std::move(looked_for));
}

void Tokenizer::set_frame(Frame frame) {
  frame_ = std::move(frame);
  start_ = frame_.start();
  finish_ = frame_.finish();
}

void Tokenizer::encode_parts(std::string_view text, bool with_specials,
                             std::span<const size_t> plain, std::vector<TokenId>& ids) const {
  added_.split(
      text, with_specials, plain,
      [&](std::string_view piece, size_t at) {
        encode_piece({piece, at == 0, with_specials}, ids);
      },
      [&](TokenId id) { ids.push_back(id); });
}

void Tokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  encode_parts(text, false, {}, ids);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode_parts(text, false, {}, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_with_specials(std::string_view text,
                                                     std::span<const size_t> plain) const {
  std::vector<TokenId> ids;
  encode_parts(text, true, plain, ids);
  return ids;
}

FramedTokens Tokenizer::encode_framed(std::string_view text, int64_t longest) const {
  FramedTokens framed;
  framed.ids = start_;
  encode(text, framed.ids);
  const int64_t room = std::max<int64_t>(0, longest - std::ssize(finish_));
  if (std::ssize(framed.ids) > room) framed.ids.resize(static_cast<size_t>(room));
  framed.ids.insert(framed.ids.end(), finish_.begin(), finish_.end());
  if (std::ssize(framed.ids) > longest) framed.ids.resize(static_cast<size_t>(longest));
  framed.types.resize(framed.ids.size(), 0);
  return framed;
}

FramedTokens Tokenizer::encode_pair(std::string_view first, std::string_view second) const {
  if (frame_.pair.empty()) fail_request("the tokenizer does not say how a pair of texts is framed");
  FramedTokens framed;
  for (const Frame::Part& part : frame_.pair) {
    if (part.kind == Frame::Part::Kind::token) {
      framed.ids.push_back(part.id);
    } else {
      encode(part.kind == Frame::Part::Kind::first ? first : second, framed.ids);
    }
    framed.types.resize(framed.ids.size(), part.type);
  }
  return framed;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += token(id);
  if (leading_space_ && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

bool Tokenizer::is_special(TokenId id) const {
  return std::binary_search(special_ids_.begin(), special_ids_.end(), id);
}

std::optional<TokenId> Tokenizer::end_of_text() const {
  // GPT-2's and Qwen's name, Llama 3's, Llama 2's and Mistral's, Gemma's, BERT's.
  for (const char* name : {kEndOfText, "<|end_of_text|>", "</s>", "<eos>", "[SEP]"}) {
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
