// The losses, by name.
#pragma once

#include <vector>

#include "nn/registry.h"

namespace heed::nn {

/// The registry's entries of kind "loss".
std::vector<ModuleEntry> loss_entries();

}  // namespace heed::nn
