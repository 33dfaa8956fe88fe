// heed bench attention: one pattern, one shape, against dense and materialised attention.
#pragma once

#include <string>

#include "tools/command.h"

namespace heed::tools {

void add_bench_attention(CLI::App& bench);

}  // namespace heed::tools
