// Which layer of a decoder attends how: heed's `attention` and `attentions` and what config.json
// says of sliding windows.
#pragma once

#include <vector>

#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

/// The mechanism of each layer, with all of its options.
std::vector<Config> layer_attentions(const Config& model);
/// Sets `attention`, or `attentions` where layers differ.
void set_layer_attentions(const std::vector<Config>& layers, Config& model);

/// "sliding_window": a window in every layer (Mistral); null: none. `standard` where it is left
/// out.
Rule window_of_all_layers(int64_t standard);
/// "layer_types", or "use_sliding_window" with "sliding_window" in the layers from
/// "max_window_layers" on (Qwen2 and Qwen3).
Rule windows_of_upper_layers();

}  // namespace heed::recipes::hf
