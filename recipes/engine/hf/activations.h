// Names of activations: (theirs, ours), the one to write first.
#pragma once

#include <utility>
#include <vector>

#include "core/config.h"

namespace heed::recipes::hf {

inline std::vector<std::pair<Config, Config>> activations() {
  return {{"gelu", "gelu"}, {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
          {"relu", "relu"}, {"silu", "silu"},          {"swish", "silu"}};
}

}  // namespace heed::recipes::hf
