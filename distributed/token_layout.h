// Which tokens of a sequence a rank has, where ranks share it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/pattern.h"

namespace heed {

enum class TokenLayout {
  contiguous,  ///< rank r of N: chunk r of N
  zigzag,      ///< chunks r and 2N - 1 - r of 2N: equal causal work on all ranks
  striped,     ///< tokens r, r + N, r + 2N, ... (Striped Attention, arXiv 2311.09431)
};

/// "contiguous", "zigzag", "striped".
const char* name_of(TokenLayout layout);
/// A RequestError for any other name.
TokenLayout token_layout(const std::string& name);

/// What a sequence's tokens must be a multiple of to share out among the ranks.
int64_t pieces(TokenLayout layout, int64_t ranks);

/// A RequestError where `tokens` do not share out among the ranks: they must be a multiple of the
/// ranks, or for zigzag of twice as many.
void check_layout(TokenLayout layout, int64_t tokens, int64_t ranks);

/// The rank's tokens, in ascending order: one run, or the two of zigzag. Checks the layout.
std::vector<TokenRun> token_runs(TokenLayout layout, int64_t tokens, int64_t ranks, int64_t rank);

/// The same one by one.
std::vector<int64_t> token_positions(TokenLayout layout, int64_t tokens, int64_t ranks,
                                     int64_t rank);

}  // namespace heed
