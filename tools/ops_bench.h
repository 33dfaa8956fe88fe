// heed bench ops: ops that are bound by memory, beside a copy.
#pragma once

#include "tools/command.h"

namespace heed::tools {

void add_bench_ops(CLI::App& bench);

}  // namespace heed::tools
