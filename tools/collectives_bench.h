// heed bench collectives: what the ranks of a run can say to each other, and how fast.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/collective.h"
#include "tools/command.h"

namespace heed::tools {

void add_bench_collectives(CLI::App& bench);

/// "4K", "1M", "65536": bytes, K, M and G being powers of 1024. A RequestError for anything else.
int64_t size_from_text(const std::string& text);

/// Bytes that the slowest link must carry for each byte of an operation's size among n ranks, as
/// nccl-tests defines bus bandwidth: 2 (n - 1) / n for an all-reduce, (n - 1) / n for an
/// all-gather, reduce-scatter and all-to-all (of all ranks' parts), 1 for the rest.
double bus_factor(Collective what, int64_t ranks);

}  // namespace heed::tools
