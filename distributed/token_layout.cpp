#include "distributed/token_layout.h"

#include "core/error.h"

namespace heed {
namespace {

constexpr TokenLayout kLayouts[] = {TokenLayout::contiguous, TokenLayout::zigzag,
                                    TokenLayout::striped};

}  // namespace

const char* name_of(TokenLayout layout) {
  switch (layout) {
    case TokenLayout::contiguous:
      return "contiguous";
    case TokenLayout::zigzag:
      return "zigzag";
    default:
      return "striped";
  }
}

TokenLayout token_layout(const std::string& name) {
  std::vector<std::string> names;
  for (const TokenLayout layout : kLayouts) {
    if (name == name_of(layout)) return layout;
    names.emplace_back(name_of(layout));
  }
  fail_request("unknown layout of tokens '{}'{}", name, did_you_mean(name, names));
}

int64_t pieces(TokenLayout layout, int64_t ranks) {
  return layout == TokenLayout::zigzag && ranks > 1 ? 2 * ranks : ranks;
}

void check_layout(TokenLayout layout, int64_t tokens, int64_t ranks) {
  if (tokens % pieces(layout, ranks) == 0) return;
  fail_request("{} tokens do not share out among {} ranks: the {} layout wants a multiple of {}",
               tokens, ranks, name_of(layout), pieces(layout, ranks));
}

std::vector<TokenRun> token_runs(TokenLayout layout, int64_t tokens, int64_t ranks, int64_t rank) {
  HEED_CHECK(rank >= 0 && rank < ranks, "token layout: rank {} of {}", rank, ranks);
  check_layout(layout, tokens, ranks);
  if (ranks == 1) return {{0, 1, tokens}};
  const int64_t count = tokens / ranks;
  if (layout == TokenLayout::contiguous) return {{rank * count, 1, count}};
  if (layout == TokenLayout::striped) return {{rank, ranks, count}};
  const int64_t half = count / 2;
  return {{rank * half, 1, half}, {(2 * ranks - 1 - rank) * half, 1, half}};
}

std::vector<int64_t> token_positions(TokenLayout layout, int64_t tokens, int64_t ranks,
                                     int64_t rank) {
  std::vector<int64_t> positions;
  for (const TokenRun& run : token_runs(layout, tokens, ranks, rank))
    for (int64_t i = 0; i < run.count; ++i) positions.push_back(run[i]);
  return positions;
}

}  // namespace heed
