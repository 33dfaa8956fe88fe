// heed bench device: the ceilings of a device.
#pragma once

#include "tools/command.h"

namespace heed::tools {

void add_bench_device(CLI::App& bench);

}  // namespace heed::tools
