#include "data/merges.h"

#include <algorithm>
#include <queue>

namespace heed::data {
namespace {

constexpr size_t kFew = 48;  // up to here a scan for the best pair beats a heap

uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

void Merges::add(const Pair& pair, TokenId whole) {
  by_pair_[pair_key(pair.first, pair.second)] = {count_++, whole};
}

const Merges::Merge* Merges::find(TokenId left, TokenId right) const {
  return by_pair_.find(pair_key(left, right));
}

void Merges::apply(std::vector<TokenId>& symbols) const {
  if (symbols.size() <= kFew) {
    apply_to_few(symbols);
  } else {
    apply_to_many(symbols);
  }
}

void Merges::apply_to_few(std::vector<TokenId>& symbols) const {
  while (symbols.size() > 1) {
    const Merge* best = nullptr;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = find(symbols[i], symbols[i + 1]);
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
void Merges::apply_to_many(std::vector<TokenId>& symbols) const {
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
    if (const Merge* merge = find(left, right)) heap.push({merge->rank, at, left, right});
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
    symbols[top.at] = find(top.left, top.right)->id;
    symbols[right] = kGone;
    next[top.at] = next[right];
    if (next[right] < count) previous[next[right]] = top.at;
    offer(top.at);
    if (top.at > 0) offer(previous[top.at]);
  }
  std::erase(symbols, kGone);
}

}  // namespace heed::data
