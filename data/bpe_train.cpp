// Training of byte-pair encoding. Counts of pairs are kept up to date as merges change words, so a
// merge costs what it touches, not a pass over the text.
#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "data/bpe.h"
#include "data/byte_level.h"
#include "data/pretokenize.h"

namespace heed::data {
namespace {

struct Word {
  std::vector<TokenId> symbols;
  int64_t count = 0;  // occurrences in the texts
};

struct PairState {
  int64_t count = 0;
  std::vector<int32_t> words;  // that held the pair when it was counted, some of them twice
  bool queued = false;         // for the heap, in the current round
};

// A pair and its count when it was queued; stale when the count has changed since.
struct Candidate {
  int64_t count;
  uint64_t pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Trainer {
 public:
  Trainer(const std::vector<std::string_view>& texts, const std::array<TokenId, 256>& byte_ids) {
    std::unordered_map<std::string_view, int64_t> counts;
    for (const std::string_view text : texts) {
      for_each_word(text, [&](std::string_view word) { ++counts[word]; });
    }
    words_.reserve(counts.size());
    for (const auto& [text, count] : counts) {
      Word word{{}, count};
      for (const char b : text) {
        word.symbols.push_back(byte_ids[static_cast<unsigned char>(b)]);
      }
      words_.push_back(std::move(word));
    }
    for (size_t w = 0; w < words_.size(); ++w) {
      const auto& symbols = words_[w].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        add(symbols[i], symbols[i + 1], static_cast<int32_t>(w));
      }
    }
    queue_changed();
  }

  // The most frequent pair; false when none occurs `min_frequency` times.
  bool best(int64_t min_frequency, BpeTokenizer::Pair& pair) {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      const int64_t count = pairs_.find(top.pair)->count;
      if (count == top.count) {
        if (count < std::max<int64_t>(1, min_frequency)) return false;
        pair = {static_cast<TokenId>(top.pair >> 32), static_cast<TokenId>(top.pair & 0xffffffffu)};
        return true;
      }
      heap_.pop();
      if (count > 0) heap_.push({count, top.pair});
    }
    return false;
  }

  // Replaces the pair by `merged` in every word.
  void merge(const BpeTokenizer::Pair& pair, TokenId merged) {
    PairState& state = pairs_[key(pair.first, pair.second)];
    const std::vector<int32_t> where = std::move(state.words);
    state.words = {};
    for (const int32_t w : where) merge_in_word(w, pair, merged);
    pairs_[key(pair.first, pair.second)].count = 0;
    queue_changed();
  }

 private:
  static uint64_t key(TokenId left, TokenId right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

  void add(TokenId left, TokenId right, int32_t word) {
    const uint64_t pair = key(left, right);
    PairState& state = pairs_[pair];
    state.count += words_[static_cast<size_t>(word)].count;
    if (state.words.empty() || state.words.back() != word) state.words.push_back(word);
    if (!state.queued) {
      state.queued = true;
      changed_.push_back(pair);
    }
  }

  void remove(TokenId left, TokenId right, int32_t word) {
    pairs_[key(left, right)].count -= words_[static_cast<size_t>(word)].count;
  }

  void merge_in_word(int32_t w, const BpeTokenizer::Pair& pair, TokenId merged) {
    auto& symbols = words_[static_cast<size_t>(w)].symbols;
    size_t out = 0;
    for (size_t i = 0; i < symbols.size(); ++i) {
      const bool here =
          i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
      if (!here) {
        symbols[out++] = symbols[i];
        continue;
      }
      if (out > 0) {
        remove(symbols[out - 1], pair.first, w);
        add(symbols[out - 1], merged, w);
      }
      if (i + 2 < symbols.size()) {
        remove(pair.second, symbols[i + 2], w);
        add(merged, symbols[i + 2], w);
      }
      symbols[out++] = merged;
      ++i;
    }
    symbols.resize(out);
  }

  void queue_changed() {
    for (const uint64_t pair : changed_) {
      PairState& state = *pairs_.find(pair);
      state.queued = false;
      if (state.count > 0) heap_.push({state.count, pair});
    }
    changed_.clear();
  }

  std::vector<Word> words_;
  FlatMap<PairState> pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<uint64_t> changed_;
};

}  // namespace

BpeTokenizer train_bpe(const std::vector<std::string_view>& texts, const BpeTrainOptions& options) {
  constexpr int64_t kSmallest = 256 + 1;
  if (options.vocab_size < kSmallest) {
    fail_request("bpe: a vocabulary of {} is too small: {} are the bytes and the end of text",
                 options.vocab_size, kSmallest);
  }
  std::vector<std::string> tokens;
  std::array<TokenId, 256> byte_ids{};
  std::unordered_map<std::string, TokenId> by_bytes;
  const auto add_token = [&](std::string bytes) {
    const auto [at, fresh] = by_bytes.try_emplace(bytes, static_cast<TokenId>(tokens.size()));
    if (fresh) tokens.push_back(std::move(bytes));
    return at->second;
  };
  for (const unsigned char b : byte_alphabet()) {
    byte_ids[b] = add_token(std::string(1, static_cast<char>(b)));
  }

  Trainer trainer(texts, byte_ids);
  std::vector<BpeTokenizer::Pair> merges;
  BpeTokenizer::Pair pair;
  while (static_cast<int64_t>(tokens.size()) + 1 < options.vocab_size &&
         trainer.best(options.min_frequency, pair)) {
    const std::string whole =
        tokens[static_cast<size_t>(pair.first)] + tokens[static_cast<size_t>(pair.second)];
    trainer.merge(pair, add_token(whole));  // two pairs may spell the same token
    merges.push_back(pair);
  }
  const TokenId end = static_cast<TokenId>(tokens.size());
  tokens.push_back(kEndOfText);
  return BpeTokenizer(std::move(tokens), std::move(merges), {{kEndOfText, end}});
}

}  // namespace heed::data
