// heed bench mechanism: an attention mechanism as a model holds it, projections and all, against
// softmax attention in the same place.
#pragma once

#include "tools/command.h"

namespace heed::tools {

void add_bench_mechanism(CLI::App& bench);

}  // namespace heed::tools
