#include "data/unigram.h"

#include <algorithm>
#include <limits>

#include "data/unicode.h"

namespace heed::data {

void UnigramSearch::add(const std::string& piece, int32_t id, double score, bool per_byte) {
  if (piece.empty()) return;
  trie_.add(piece, id);
  if (scores_.size() <= static_cast<size_t>(id)) scores_.resize(static_cast<size_t>(id) + 1);
  scores_[static_cast<size_t>(id)] = {score, per_byte};
}

namespace {

// The best ways to the places of a text.
template <class Sum>
class Ways {
 public:
  explicit Ways(size_t size) : nodes_(size + 1) {}

  // A way to `begin` goes on to `end` by a piece.
  void offer(size_t begin, size_t end, int32_t id, double score) {
    const Sum sum = static_cast<Sum>(score) + nodes_[begin].sum;
    Node& node = nodes_[end];
    if (node.begin == kNowhere || sum > node.sum) node = {sum, begin, id};
  }

  std::vector<UnigramSearch::Cut> best() const {
    std::vector<UnigramSearch::Cut> cuts;
    for (size_t end = nodes_.size() - 1; end > 0; end = nodes_[end].begin) {
      cuts.push_back({end, nodes_[end].id});
    }
    std::reverse(cuts.begin(), cuts.end());
    return cuts;
  }

 private:
  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();
  struct Node {
    Sum sum = 0;
    size_t begin = kNowhere;
    int32_t id = UnigramSearch::kUnknown;
  };
  std::vector<Node> nodes_;
};

}  // namespace

template <class Sum>
std::vector<UnigramSearch::Cut> UnigramSearch::search(std::string_view text) const {
  Ways<Sum> ways(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto character = static_cast<size_t>(code_point_at(text, at).bytes);
    bool single = false;
    trie_.for_each_prefix(text.substr(at), [&](size_t length, int32_t id) {
      const Score& own = scores_[static_cast<size_t>(id)];
      double score = own.score;
      if (own.per_byte) {
        score = static_cast<double>(static_cast<Sum>(length) * static_cast<Sum>(score)) - 0.1;
      }
      ways.offer(at, at + length, id, score);
      single = single || length == character;
    });
    if (!single) ways.offer(at, at + character, kUnknown, unknown_score_);
    at += character;
  }
  return ways.best();
}

std::vector<UnigramSearch::Cut> UnigramSearch::best(std::string_view text,
                                                    bool single_precision) const {
  return single_precision ? search<float>(text) : search<double>(text);
}

Unigram::Unigram(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
                 TokenId unknown, bool byte_fallback)
    : vocab_(std::move(vocab)), unknown_(unknown), byte_fallback_(byte_fallback) {
  double least = 0.0;
  std::vector<char> special(vocab_.size(), 0);
  for (const SpecialToken& token : specials) {
    if (token.special && static_cast<size_t>(token.id) < vocab_.size()) {
      special[static_cast<size_t>(token.id)] = 1;
    }
  }
  for (size_t id = 0; id < vocab_.size(); ++id) {
    const auto& [piece, score] = vocab_[id];
    least = id == 0 ? score : std::min(least, score);
    if (special[id] != 0) continue;
    search_.add(piece, static_cast<int32_t>(id), score);
    if (const auto byte = byte_of_name(piece)) bytes_.add(*byte, static_cast<TokenId>(id));
  }
  search_.set_unknown_score(least - UnigramSearch::kUnknownPenalty);
}

void Unigram::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  size_t begin = 0, unknown = piece.size();  // where a run of unknown characters begins
  const auto finish = [&](size_t end) {
    if (unknown >= end) return;
    const std::string_view run = piece.substr(unknown, end - unknown);
    unknown = piece.size();
    if (byte_fallback_ && bytes_.append(run, ids)) return;
    if (unknown_ < 0) {
      fail_request("unigram: no piece of the vocabulary begins with {}",
                   describe_code_point(code_point_at(run, 0).value));
    }
    ids.push_back(unknown_);
  };
  for (const UnigramSearch::Cut& cut : search_.best(piece, false)) {
    if (cut.id == UnigramSearch::kUnknown) {
      unknown = std::min(unknown, begin);
    } else {
      finish(begin);
      ids.push_back(cut.id);
    }
    begin = cut.end;
  }
  finish(piece.size());
}

void Unigram::write(Config& model) const {
  Config::List entries;
  for (const auto& [piece, score] : vocab_) entries.push_back(Config::List{piece, score});
  model.set("vocab", std::move(entries));
}

}  // namespace heed::data
