// heed bench tokenizer: how fast text becomes tokens.
#pragma once

#include "tools/command.h"

namespace heed::tools {

void add_bench_tokenizer(CLI::App& bench);

}  // namespace heed::tools
