#include "data/pipeline.h"

#include <algorithm>

#include "core/text.h"
#include "data/char_bpe.h"
#include "data/repeated_words.h"
#include "data/tokenizer_layout.h"
#include "data/unigram.h"
#include "data/word_piece.h"

namespace heed::data {
namespace {

using namespace layout;

// A model, and its tokens by id.
struct Built {
  std::unique_ptr<TokenModel> model;
  std::vector<std::string> tokens;
};

bool flag(const Config& part, const char* key, bool otherwise) {
  const Config* value = given(part, key);
  return value == nullptr ? otherwise : value->as_bool();
}

template <class Entry>
std::vector<Entry> entries_of(const Config& vocab) {
  std::vector<Entry> entries;
  for (const auto& [text, id] : vocab.as_map()) entries.emplace_back(text, read_id(id));
  return entries;
}

Built word_piece(const Config& model, const std::vector<SpecialToken>& specials) {
  const Config& vocab = model.at("vocab");
  WordPieceOptions options;
  options.unknown = model.at("unk_token").as_string();
  options.prefix = model.at("continuing_subword_prefix").as_string();
  options.longest_word = model.at("max_input_chars_per_word").as_integer();
  std::vector<std::string> tokens = tokens_in_order(read_vocab(vocab), specials, vocab.where());
  return {std::make_unique<WordPiece>(entries_of<WordPiece::Entry>(vocab), specials, options),
          std::move(tokens)};
}

// Added tokens stand in the list of pieces, or follow it.
Built unigram(const Config& model, const std::vector<SpecialToken>& specials) {
  const Config& vocab = model.at("vocab");
  std::vector<Unigram::Entry> entries;
  std::vector<std::string> tokens;
  for (const Config& entry : vocab.as_list()) {
    const Config::List& pair = entry.as_list();
    if (pair.size() != 2) {
      fail_request(entry.where(), "tokenizer: a piece is its text and its score");
    }
    entries.emplace_back(pair[0].as_string(), pair[1].as_number());
    tokens.push_back(pair[0].as_string());
  }
  std::vector<SpecialToken> beyond;
  for (const SpecialToken& token : specials) {
    const auto id = static_cast<size_t>(token.id);
    if (id >= entries.size()) {
      beyond.push_back(token);
    } else if (entries[id].first != token.text) {
      fail_request(vocab.where(),
                   fmt::format("tokenizer: the added token '{}' with id {} is '{}' in the "
                               "vocabulary",
                               token.text, token.id, entries[id].first));
    }
  }
  std::sort(beyond.begin(), beyond.end(),
            [](const SpecialToken& a, const SpecialToken& b) { return a.id < b.id; });
  for (const SpecialToken& token : beyond) {
    if (static_cast<size_t>(token.id) != tokens.size()) {
      fail_request(vocab.where(), fmt::format("tokenizer: no token has the id {}", tokens.size()));
    }
    tokens.push_back(token.text);
  }
  const Config* unknown = given(model, "unk_id");
  const TokenId unknown_id = unknown == nullptr ? -1 : read_id(*unknown);
  if (unknown != nullptr && static_cast<size_t>(unknown_id) >= entries.size()) {
    fail_request(unknown->where(),
                 fmt::format("tokenizer: unk_id {} of {} pieces", unknown_id, entries.size()));
  }
  return {std::make_unique<Unigram>(std::move(entries), specials, unknown_id,
                                    flag(model, "byte_fallback", false)),
          std::move(tokens)};
}

Built char_bpe(const Config& model, const std::vector<SpecialToken>& specials) {
  expect_neutral(model, "dropout", 0.0);
  expect_neutral(model, "continuing_subword_prefix", "");
  expect_neutral(model, "end_of_word_suffix", "");
  const Config& vocab = model.at("vocab");
  const Ids ids = read_vocab(vocab);
  std::vector<std::string> tokens = tokens_in_order(ids, specials, vocab.where());
  CharBpeOptions options;
  if (const Config* unknown = given(model, "unk_token")) {
    const auto found = ids.find(unknown->as_string());
    if (found == ids.end()) {
      fail_request(unknown->where(),
                   fmt::format("tokenizer: the vocabulary has no '{}'", unknown->as_string()));
    }
    options.unknown = found->second;
  }
  options.fuse_unknown = flag(model, "fuse_unk", false);
  options.byte_fallback = flag(model, "byte_fallback", false);
  options.ignore_merges = flag(model, "ignore_merges", false);
  return {std::make_unique<CharBpe>(entries_of<CharBpe::Entry>(vocab), specials,
                                    read_merges(ids, model.at("merges")), options),
          std::move(tokens)};
}

Built build(const Config& model, const std::vector<SpecialToken>& specials) {
  const std::string type = model.has("type") ? model.at("type").as_string() : "BPE";
  try {
    if (type == "WordPiece") return word_piece(model, specials);
    if (type == "Unigram") return unigram(model, specials);
    if (type == "BPE") return char_bpe(model, specials);
  } catch (const RequestError& error) {
    const std::string what = error.what();
    const SourceLocation& where = model.at("vocab").where();
    if (where.file.empty() || what.starts_with(where.file)) throw;
    fail_request(where, what);
  }
  refuse(model, "model", "BPE, WordPiece, Unigram");
}

bool mentions_byte_level(const Config& document) {
  for (const char* key : {"pre_tokenizer", "decoder"}) {
    const Config* part = given(document, key);
    if (part == nullptr) continue;
    const char* list = std::string_view(key) == "decoder" ? "decoders" : "pretokenizers";
    for (const Config& inner : parts_of(*part, list)) {
      if (is_of_type(inner, "ByteLevel")) return true;
    }
  }
  return false;
}

}  // namespace

bool is_pipeline(const Config& document) {
  const Config& model = document.at("model");
  const Config* type = given(model, "type");
  if (type != nullptr && *type != Config("BPE")) return true;
  if (flag(model, "byte_fallback", false)) return true;
  return given(model, "unk_token") != nullptr && !mentions_byte_level(document);
}

PipelineTokenizer::PipelineTokenizer(const Config& document) : document_(document) {
  for (const char* key : {"truncation", "padding"}) document_.set(key, Config());
  Config& model = *document_.find("model");
  model.erase("vocab");
  model.erase("merges");

  std::vector<SpecialToken> specials = read_specials(document);
  Built built = build(document.at("model"), specials);
  model_ = std::move(built.model);
  written_ = std::move(built.tokens);
  if (const Config* part = given(document, "normalizer")) normalizer_ = Normalizer(*part);
  if (const Config* part = given(document, "pre_tokenizer")) pre_tokenizer_ = PreTokenizer(*part);
  decoder_ = std::make_unique<TokenDecoder>(given(document, "decoder"));
  set_frame(read_frame(document, written_.size()));
  if (!normalizer_.empty()) {
    std::vector<SpecialToken> normal;
    for (SpecialToken token : specials) {
      if (!token.normalized) continue;
      token.text = normalizer_(token.text);
      written_[static_cast<size_t>(token.id)] = token.text;  // as `tokenizers` decodes it
      normal.push_back(std::move(token));
    }
    normal_added_ = AddedTokens(std::move(normal));
  }
  set_specials(std::move(specials), !normalizer_.empty());
  for (size_t id = 0; id < written_.size(); ++id) {
    const bool special = is_special(static_cast<TokenId>(id));
    pieces_.push_back(special ? written_[id] : decoder_->piece(written_[id], false));
  }
}

void PipelineTokenizer::encode_piece(const Piece& piece, std::vector<TokenId>& ids) const {
  const std::string text = normalizer_(to_valid_utf8(piece.text));
  normal_added_.split(
      text, piece.with_specials, {},
      [&](std::string_view part, size_t at) {
        encode_normal(std::string(part), piece.first && at == 0, ids);
      },
      [&](TokenId id) { ids.push_back(id); });
}

void PipelineTokenizer::encode_normal(const std::string& text, bool first,
                                      std::vector<TokenId>& ids) const {
  const std::vector<TextPiece> parts = pre_tokenizer_({text, first});
  if (parts.size() == 1) return model_->encode(parts[0].text, ids);
  RepeatedWords words(ids);
  for (const TextPiece& part : parts) {
    words.append(part.text, [this](std::string_view word, std::vector<TokenId>& out) {
      model_->encode(word, out);
    });
  }
}

const std::string& PipelineTokenizer::written(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("{}: token {} is outside the vocabulary of {}", type(), id, vocab_size());
  }
  return written_[static_cast<size_t>(id)];
}

std::string_view PipelineTokenizer::token(TokenId id) const {
  written(id);  // checks it
  return pieces_[static_cast<size_t>(id)];
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string& token = written(ids[i]);
    if (i > 0 && !is_special(ids[i])) {
      text += pieces_[static_cast<size_t>(ids[i])];
    } else {
      text += decoder_->piece(token, i == 0);
    }
  }
  return decoder_->whole(std::move(text));
}

Config PipelineTokenizer::to_config() const {
  Config document = document_;
  model_->write(*document.find("model"));
  return document;
}

}  // namespace heed::data
