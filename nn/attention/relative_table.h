// A learned bias for every head and relative offset on a grid of tokens, added to the scores (Swin,
// arXiv 2103.14030, eq. 4; NAT, arXiv 2204.07143, eq. 1): table [heads, prod(2 window - 1)], first
// axis slowest, looked up by key - query + window - 1 along each axis.
#pragma once

#include <vector>

#include "nn/attention/pattern_attention.h"
#include "nn/init.h"

namespace heed::nn {

int64_t relative_table_entries(const std::vector<int64_t>& windows);

/// How tables start: 0.02, truncated.
Init relative_table_init();

/// Has `score` look the table up by the request's grid, in steps of the dilations, for the queries
/// from request.offset on. Pairs with global tokens have no bias.
void add_relative_table(AttentionScore& score, const Tensor& table, const PatternRequest& request,
                        const std::vector<int64_t>& windows, const std::vector<int64_t>& dilations);

}  // namespace heed::nn
