#include "data/bpe.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <unordered_map>

#include "data/byte_level.h"
#include "data/pretokenize.h"

namespace heed::data {
namespace {

constexpr size_t kShortWord = 48;  // up to here a scan for the best pair beats a heap

uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

BpeTokenizer::BpeTokenizer(std::vector<std::string> tokens, std::vector<Pair> merges,
                           std::vector<SpecialToken> specials)
    : tokens_(std::move(tokens)), merges_(std::move(merges)), by_pair_(merges_.size()) {
  specials_ = std::move(specials);
  std::unordered_map<std::string_view, TokenId> by_bytes;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (is_special(static_cast<TokenId>(id))) continue;
    if (!by_bytes.emplace(tokens_[id], static_cast<TokenId>(id)).second) {
      fail_request("bpe: the token '{}' is in the vocabulary twice", to_byte_level(tokens_[id]));
    }
  }
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto found = by_bytes.find(std::string_view(&byte, 1));
    if (found == by_bytes.end()) fail_request("bpe: the vocabulary has no token for byte {}", b);
    byte_tokens_.push_back(found->second);
  }
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto [left, right] = merges_[rank];
    const std::string whole = std::string(token(left)).append(token(right));
    const auto found = by_bytes.find(whole);
    if (found == by_bytes.end()) {
      fail_request("bpe: merge {} makes '{}', which is not in the vocabulary", rank + 1,
                   to_byte_level(whole));
    }
    Merge& merge = by_pair_[pair_key(left, right)];
    merge = {static_cast<int32_t>(rank), found->second};  // of a merge listed twice the last counts
  }
}

const BpeTokenizer::Merge* BpeTokenizer::find_merge(TokenId left, TokenId right) const {
  return by_pair_.find(pair_key(left, right));
}

std::string_view BpeTokenizer::token(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    fail_request("bpe: token {} is outside the vocabulary of {}", id, vocab_size());
  }
  return tokens_[static_cast<size_t>(id)];
}

// Text repeats its words: each different one is merged once a call.
void BpeTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  struct Span {
    size_t begin, size;
  };
  std::unordered_map<std::string_view, Span> known;
  const size_t before = ids.size();
  ids.reserve(before + text.size() / 4);
  for_each_word(text, [&](std::string_view word) {
    const auto [at, fresh] = known.try_emplace(word, Span{ids.size(), 0});
    if (fresh) {
      encode_word(word, ids);
      at->second.size = ids.size() - at->second.begin;
    } else {
      const auto [begin, size] = at->second;
      for (size_t i = 0; i < size; ++i) ids.push_back(TokenId{ids[begin + i]});
    }
  });
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<TokenId>& ids) const {
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  for (const char b : word) symbols.push_back(byte_tokens_[static_cast<unsigned char>(b)]);
  if (symbols.size() <= kShortWord) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void BpeTokenizer::merge_short(std::vector<TokenId>& symbols) const {
  while (symbols.size() > 1) {
    const Merge* best = nullptr;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = find_merge(symbols[i], symbols[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        best_at = i;
      }
    }
    if (best == nullptr) return;
    symbols[best_at] = best->id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

// The same merges in O(n log n): a heap of candidate pairs over a linked list of symbols.
void BpeTokenizer::merge_long(std::vector<TokenId>& symbols) const {
  struct Candidate {
    int32_t rank;
    size_t at;
    TokenId left, right;
    bool operator<(const Candidate& other) const {  // the lowest rank, leftmost, comes first
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const size_t count = symbols.size();
  std::vector<size_t> next(count), previous(count);
  std::priority_queue<Candidate> heap;
  const auto offer = [&](size_t at) {
    if (next[at] >= count) return;
    const TokenId left = symbols[at], right = symbols[next[at]];
    if (const Merge* merge = find_merge(left, right)) heap.push({merge->rank, at, left, right});
  };
  for (size_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;
  }
  for (size_t i = 0; i < count; ++i) offer(i);

  constexpr TokenId kGone = -1;
  while (!heap.empty()) {
    const Candidate top = heap.top();
    heap.pop();
    const size_t right = next[top.at];
    if (symbols[top.at] != top.left || right >= count || symbols[right] != top.right) continue;
    symbols[top.at] = find_merge(top.left, top.right)->id;
    symbols[right] = kGone;
    next[top.at] = next[right];
    if (next[right] < count) previous[next[right]] = top.at;
    offer(top.at);
    if (top.at > 0) offer(previous[top.at]);
  }
  std::erase(symbols, kGone);
}

Config BpeTokenizer::to_config() const {
  Config added = Config::list(), merges = Config::list();
  for (const SpecialToken& special : specials_) {
    Config::Map entry{{"id", int64_t{special.id}},
                      {"content", special.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}};
    added.append(std::move(entry));
  }
  Config::Map entries;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const bool special = is_special(static_cast<TokenId>(id));
    entries.emplace_back(special ? tokens_[id] : to_byte_level(tokens_[id]),
                         static_cast<int64_t>(id));
  }
  for (const auto& [left, right] : merges_) {
    merges.append(to_byte_level(token(left)) + " " + to_byte_level(token(right)));
  }
  const auto byte_level = [] {
    return Config::Map{{"type", "ByteLevel"},
                       {"add_prefix_space", false},
                       {"trim_offsets", true},
                       {"use_regex", true}};
  };
  Config::Map model{{"type", "BPE"},
                    {"dropout", Config()},
                    {"unk_token", Config()},
                    {"continuing_subword_prefix", ""},
                    {"end_of_word_suffix", ""},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"ignore_merges", false},
                    {"vocab", std::move(entries)},
                    {"merges", std::move(merges)}};
  return Config::Map{{"version", "1.0"},
                     {"truncation", Config()},
                     {"padding", Config()},
                     {"added_tokens", std::move(added)},
                     {"normalizer", Config()},
                     {"pre_tokenizer", byte_level()},
                     {"post_processor", byte_level()},
                     {"decoder", byte_level()},
                     {"model", std::move(model)}};
}

}  // namespace heed::data
