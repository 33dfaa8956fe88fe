// heed bench decode: how fast a language model writes.
#pragma once

#include "tools/command.h"

namespace heed::tools {

void add_bench_decode(CLI::App& bench);

}  // namespace heed::tools
