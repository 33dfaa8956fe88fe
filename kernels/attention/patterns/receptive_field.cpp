#include "kernels/attention/patterns/receptive_field.h"

#include "core/error.h"

namespace heed {

std::vector<int64_t> attention_hops(const AttentionPattern& pattern, int64_t tokens,
                                    int64_t query) {
  HEED_CHECK(query >= 0 && query < tokens, "attention: token {} of {}", query, tokens);
  std::vector<int64_t> hops(static_cast<size_t>(tokens), -1), front = {query};
  hops[static_cast<size_t>(query)] = 0;
  for (int64_t done = 1; !front.empty(); ++done) {
    std::vector<int64_t> next;
    for (const int64_t i : front) {
      for (int64_t j = 0; j < tokens; ++j) {
        if (hops[static_cast<size_t>(j)] >= 0 || !pattern.allowed(0, 0, i, j)) continue;
        hops[static_cast<size_t>(j)] = done;
        next.push_back(j);
      }
    }
    front = std::move(next);
  }
  return hops;
}

std::vector<int64_t> receptive_field(const AttentionPattern& pattern, int64_t tokens, int64_t query,
                                     int64_t layers) {
  std::vector<int64_t> heard(static_cast<size_t>(layers) + 1, 0);
  for (const int64_t hops : attention_hops(pattern, tokens, query)) {
    if (hops < 0) continue;
    for (int64_t layer = hops; layer <= layers; ++layer) ++heard[static_cast<size_t>(layer)];
  }
  return heard;
}

}  // namespace heed
