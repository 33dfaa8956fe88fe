// A checkpoint as a model folder of the Hugging Face hub: config.json, model.safetensors (shards
// where it is large), tokenizer.json and the files that an import kept.
//
// A model that no family of transformers has, such as a decoder with a paper's attention, is of
// model_type "heed": its config.json says so, its tensors have the names of the family nearest to
// it, and those of the mechanism heed's own. See described.h.
#pragma once

#include <cstdint>
#include <string>

#include "recipes/engine/export.h"

namespace heed::recipes {

/// Exports the weights of a run or checkpoint (the averaged ones where there are any and
/// `evaluation.use_ema`; low-rank updates are merged) in the dtype that they have. `destination`
/// must not exist, or be empty, and appears whole or not at all. Files of weights are at most
/// `most_bytes` large. A RequestError for models that have no names on the hub.
Exported export_to_hub(const std::string& run_or_checkpoint, const std::string& destination,
                       int64_t most_bytes, const Warning& warn = {});

}  // namespace heed::recipes
