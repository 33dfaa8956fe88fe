#include "data/tokenizer_layout.h"

#include <algorithm>

namespace heed::data::layout {
namespace {

constexpr int64_t kLargestVocab = int64_t{1} << 24;

TokenId find_part(const Ids& vocab, const std::string& text, const SourceLocation& where) {
  const auto found = vocab.find(text);
  if (found == vocab.end()) {
    fail_request(
        where, fmt::format("tokenizer: a merge needs '{}', which is not in the vocabulary", text));
  }
  return found->second;
}

std::vector<TokenId> read_template(const Config& part) {
  std::vector<TokenId> start;
  bool text = false;
  for (const Config& piece : part.at("single").as_list()) {
    if (piece.has("Sequence")) {
      text = true;
      continue;
    }
    if (text) {
      fail_request(piece.where(), "tokenizer: a special token behind a text is not supported");
    }
    const Config& name = piece.at("SpecialToken").at("id");
    for (const Config& id : part.at("special_tokens").at(name.as_string()).at("ids").as_list()) {
      start.push_back(read_id(id));
    }
  }
  return start;
}

}  // namespace

TokenId read_id(const Config& value) {
  const int64_t id = value.as_integer();
  if (id < 0 || id >= kLargestVocab) {
    fail_request(value.where(), fmt::format("token id {} is outside [0, {})", id, kLargestVocab));
  }
  return static_cast<TokenId>(id);
}

const Config* given(const Config& config, const char* key) {
  const Config* value = config.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

void expect_neutral(const Config& config, const char* key, const Config& neutral) {
  const Config* value = given(config, key);
  if (value != nullptr && !(*value == neutral)) {
    fail_request(value->where(), fmt::format("tokenizer: \"{}\": {} is not supported (known: {})",
                                             key, value->to_json(), neutral.to_json()));
  }
}

void refuse(const Config& part, const char* key, const std::string& known) {
  const Config* type = part.find("type");
  fail_request(part.where(),
               fmt::format("tokenizer: \"{}\" of type {} is not supported (known: {})", key,
                           type != nullptr && type->is_string() ? type->as_string() : "?", known));
}

bool is_of_type(const Config& part, const char* type) {
  return part.at("type").as_string() == type;
}

Config::List parts_of(const Config& part, const char* list) {
  return is_of_type(part, "Sequence") ? part.at(list).as_list() : Config::List{part};
}

Ids read_vocab(const Config& vocab) {
  Ids ids;
  for (const auto& [text, id] : vocab.as_map()) ids.emplace(text, read_id(id));
  return ids;
}

std::vector<std::string> tokens_in_order(const Ids& vocab,
                                         const std::vector<SpecialToken>& specials,
                                         const SourceLocation& where) {
  TokenId largest = -1;
  for (const auto& [text, id] : vocab) largest = std::max(largest, id);
  for (const SpecialToken& special : specials) largest = std::max(largest, special.id);
  const size_t size = static_cast<size_t>(largest) + 1;
  if (size > vocab.size() + specials.size()) {
    fail_request(where, fmt::format("tokenizer: ids go up to {}, but there are only {} tokens",
                                    largest, vocab.size() + specials.size()));
  }
  std::vector<std::string> tokens(size);
  std::vector<char> known(size, 0);
  const auto put = [&](TokenId id, const std::string& text) {
    tokens[static_cast<size_t>(id)] = text;
    known[static_cast<size_t>(id)] = 1;
  };
  for (const auto& [text, id] : vocab) {
    if (known[static_cast<size_t>(id)] != 0) {
      fail_request(where, fmt::format("tokenizer: two tokens have the id {}", id));
    }
    put(id, text);
  }
  for (const SpecialToken& special : specials) {
    const auto in_vocab = vocab.find(special.text);
    const bool same = in_vocab != vocab.end() && in_vocab->second == special.id;
    const bool clash = in_vocab != vocab.end() || known[static_cast<size_t>(special.id)] != 0;
    if (clash && !same) {
      fail_request(where, fmt::format("tokenizer: the added token '{}' with id {} contradicts the "
                                      "vocabulary",
                                      special.text, special.id));
    }
    put(special.id, special.text);
  }
  for (size_t id = 0; id < size; ++id) {
    if (known[id] == 0) fail_request(where, fmt::format("tokenizer: no token has the id {}", id));
  }
  return tokens;
}

Merges::Pair parse_merge(const Ids& vocab, const std::string& text, const SourceLocation& where) {
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    fail_request(where,
                 fmt::format("tokenizer: a merge is two tokens and a space, not '{}'", text));
  }
  return {find_part(vocab, text.substr(0, space), where),
          find_part(vocab, text.substr(space + 1), where)};
}

std::vector<Merges::Pair> read_merges(const Ids& vocab, const Config& merges) {
  std::vector<Merges::Pair> pairs;
  for (const Config& merge : merges.as_list()) {
    if (merge.is_string()) {
      pairs.push_back(parse_merge(vocab, merge.as_string(), merge.where()));
      continue;
    }
    const Config::List& parts = merge.as_list();
    if (parts.size() != 2) {
      fail_request(merge.where(),
                   fmt::format("tokenizer: a merge has two parts, not {}", parts.size()));
    }
    pairs.emplace_back(find_part(vocab, parts[0].as_string(), merge.where()),
                       find_part(vocab, parts[1].as_string(), merge.where()));
  }
  return pairs;
}

std::vector<SpecialToken> read_specials(const Config& document) {
  std::vector<SpecialToken> specials;
  const Config* added = given(document, "added_tokens");
  if (added == nullptr) return specials;
  for (const Config& entry : added->as_list()) {
    for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
      expect_neutral(entry, flag, false);
    }
    const std::string& text = entry.at("content").as_string();
    if (text.empty()) fail_request(entry.where(), "tokenizer: an added token is empty");
    const TokenId id = read_id(entry.at("id"));
    for (const SpecialToken& other : specials) {
      if (other.id == id || other.text == text) {
        fail_request(entry.where(),
                     fmt::format("tokenizer: the added token '{}' is there twice", text));
      }
    }
    specials.push_back({text, id});
  }
  return specials;
}

std::vector<TokenId> read_start(const Config& document) {
  const Config* whole = given(document, "post_processor");
  if (whole == nullptr) return {};
  std::vector<TokenId> start;
  for (const Config& part : parts_of(*whole, "processors")) {
    if (is_of_type(part, "ByteLevel")) continue;  // moves offsets alone
    if (!is_of_type(part, "TemplateProcessing")) {
      refuse(part, "post_processor", "ByteLevel, TemplateProcessing");
    }
    start = read_template(part);
  }
  return start;
}

Config added_tokens(const Tokenizer& tokenizer) {
  Config added = Config::list();
  for (const SpecialToken& special : tokenizer.specials()) {
    Config::Map entry{{"id", int64_t{special.id}},
                      {"content", special.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}};
    added.append(std::move(entry));
  }
  return added;
}

Config starting_with(const Tokenizer& tokenizer) {
  Config::List single;
  Config specials = Config::map();
  for (const TokenId id : tokenizer.start()) {
    const std::string name(tokenizer.token(id));
    single.push_back(Config::Map{{"SpecialToken", Config::Map{{"id", name}, {"type_id", 0}}}});
    specials.set(name, Config::Map{{"id", name},
                                   {"ids", Config::List{int64_t{id}}},
                                   {"tokens", Config::List{name}}});
  }
  const auto text = [](const char* name, int type) {
    return Config::Map{{"Sequence", Config::Map{{"id", name}, {"type_id", type}}}};
  };
  Config::List pair = single;
  single.push_back(text("A", 0));
  pair.push_back(text("A", 0));
  pair.push_back(text("B", 1));
  return Config::Map{{"type", "TemplateProcessing"},
                     {"single", single},
                     {"pair", pair},
                     {"special_tokens", specials}};
}

}  // namespace heed::data::layout
