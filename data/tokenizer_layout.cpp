#include "data/tokenizer_layout.h"

#include <algorithm>
#include <unordered_set>

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

using Part = Frame::Part;

// A text named by "A" or "B", or the ids of a special token.
void append_piece(const Config& piece, const Config& tokens, std::vector<Part>& parts) {
  const auto type_of = [](const Config& named) {
    const Config* type = named.find("type_id");
    return type == nullptr ? 0 : static_cast<int32_t>(read_id(*type));
  };
  if (const Config* text = piece.find("Sequence")) {
    const Config& name = text->at("id");
    if (name != Config("A") && name != Config("B")) {
      fail_request(name.where(), "tokenizer: a template's sequence is \"A\" or \"B\"");
    }
    parts.push_back(
        {name == Config("A") ? Part::Kind::first : Part::Kind::second, 0, type_of(*text)});
    return;
  }
  const Config& token = piece.at("SpecialToken");
  for (const Config& id : tokens.at(token.at("id").as_string()).at("ids").as_list()) {
    parts.push_back({Part::Kind::token, read_id(id), type_of(token)});
  }
}

void check_texts(const std::vector<Part>& parts, bool pair, const SourceLocation& where) {
  const auto count = [&](Part::Kind kind) {
    return std::count_if(parts.begin(), parts.end(), [&](const Part& p) { return p.kind == kind; });
  };
  if (count(Part::Kind::first) != 1 || count(Part::Kind::second) != (pair ? 1 : 0)) {
    fail_request(where, pair ? "tokenizer: a template of a pair has A and B once each"
                             : "tokenizer: a template of a single text has A once and no B");
  }
}

Frame read_template(const Config& part) {
  Frame frame;
  const Config& single = part.at("single");
  for (const Config& piece : single.as_list()) {
    append_piece(piece, part.at("special_tokens"), frame.single);
  }
  check_texts(frame.single, false, single.where());
  const Config* pair = given(part, "pair");
  if (pair == nullptr || pair->as_list().empty()) return frame;
  for (const Config& piece : pair->as_list()) {
    append_piece(piece, part.at("special_tokens"), frame.pair);
  }
  check_texts(frame.pair, true, pair->where());
  return frame;
}

// BERT's and RoBERTa's own processors: ["[SEP]", 102] and ["[CLS]", 101].
Frame read_cls_and_sep(const Config& part, bool roberta) {
  const auto token = [&](const char* key) {
    const Config::List& named = part.at(key).as_list();
    if (named.size() != 2) {
      fail_request(part.at(key).where(), "tokenizer: expected a token and its id");
    }
    return read_id(named[1]);
  };
  const TokenId cls = token("cls"), sep = token("sep");
  const int32_t second = roberta ? 0 : 1;
  Frame frame;
  frame.single = {
      {Part::Kind::token, cls, 0}, {Part::Kind::first, 0, 0}, {Part::Kind::token, sep, 0}};
  frame.pair = frame.single;
  if (roberta) frame.pair.push_back({Part::Kind::token, sep, 0});
  frame.pair.push_back({Part::Kind::second, 0, second});
  frame.pair.push_back({Part::Kind::token, sep, second});
  return frame;
}

bool flag(const Config& entry, const char* key, bool otherwise) {
  const Config* value = given(entry, key);
  return value == nullptr ? otherwise : value->as_bool();
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
  std::unordered_set<TokenId> ids;
  std::unordered_set<std::string> texts;
  for (const Config& entry : added->as_list()) {
    const std::string& text = entry.at("content").as_string();
    if (text.empty()) fail_request(entry.where(), "tokenizer: an added token is empty");
    const TokenId id = read_id(entry.at("id"));
    if (!ids.insert(id).second || !texts.insert(text).second) {
      fail_request(entry.where(),
                   fmt::format("tokenizer: the added token '{}' is there twice", text));
    }
    specials.push_back({text, id, flag(entry, "special", true), flag(entry, "normalized", false),
                        flag(entry, "lstrip", false), flag(entry, "rstrip", false),
                        flag(entry, "single_word", false)});
  }
  return specials;
}

Frame read_frame(const Config& document, size_t tokens) {
  const Config* whole = given(document, "post_processor");
  if (whole == nullptr) return {};
  Frame frame;
  for (const Config& part : parts_of(*whole, "processors")) {
    if (is_of_type(part, "ByteLevel")) continue;  // moves offsets alone
    if (!frame.empty()) refuse(part, "post_processor", "one template");
    if (is_of_type(part, "TemplateProcessing")) {
      frame = read_template(part);
    } else if (is_of_type(part, "BertProcessing") || is_of_type(part, "RobertaProcessing")) {
      frame = read_cls_and_sep(part, is_of_type(part, "RobertaProcessing"));
    } else {
      refuse(part, "post_processor",
             "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing");
    }
  }
  for (const auto* parts : {&frame.single, &frame.pair}) {
    for (const Part& part : *parts) {
      if (static_cast<size_t>(part.id) < tokens) continue;
      fail_request(whole->where(),
                   fmt::format("tokenizer: texts are framed by the token {}, and there are {}",
                               part.id, tokens));
    }
  }
  return frame;
}

Config added_tokens(const Tokenizer& tokenizer) {
  Config added = Config::list();
  for (const SpecialToken& special : tokenizer.specials()) {
    Config::Map entry{{"id", int64_t{special.id}},          {"content", special.text},
                      {"single_word", special.single_word}, {"lstrip", special.lstrip},
                      {"rstrip", special.rstrip},           {"normalized", special.normalized},
                      {"special", special.special}};
    added.append(std::move(entry));
  }
  return added;
}

Config framed_by(const Tokenizer& tokenizer) {
  Config specials = Config::map();
  const auto written = [&](const std::vector<Part>& parts) {
    Config::List list;
    for (const Part& part : parts) {
      if (part.kind != Part::Kind::token) {
        const char* name = part.kind == Part::Kind::first ? "A" : "B";
        list.push_back(
            Config::Map{{"Sequence", Config::Map{{"id", name}, {"type_id", part.type}}}});
        continue;
      }
      const std::string name(tokenizer.token(part.id));
      list.push_back(
          Config::Map{{"SpecialToken", Config::Map{{"id", name}, {"type_id", part.type}}}});
      specials.set(name, Config::Map{{"id", name},
                                     {"ids", Config::List{int64_t{part.id}}},
                                     {"tokens", Config::List{name}}});
    }
    return list;
  };
  const Config single = written(tokenizer.frame().single), pair = written(tokenizer.frame().pair);
  return Config::Map{{"type", "TemplateProcessing"},
                     {"single", single},
                     {"pair", pair},
                     {"special_tokens", specials}};
}

}  // namespace heed::data::layout
