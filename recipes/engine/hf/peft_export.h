// The low-rank updates of a run as a PEFT adapter's folder, for the base that transformers has.
#pragma once

#include <string>

#include "recipes/engine/export.h"

namespace heed::recipes {

/// Writes adapter_config.json and adapter_model.safetensors of a run or checkpoint that was trained
/// with `lora`: its updates (the averaged ones where there are any and `evaluation.use_ema`), and
/// whole the modules that it trained whole (modules_to_save). An update of a matrix that is several
/// of theirs becomes one of each, with its lora_A in all of them, or, where it falls into parts
/// that share no rank, with their own. `destination` must not exist, or be empty, and appears whole
/// or not at all. A RequestError for a run without updates, and for a model that no family of
/// transformers has.
Exported export_adapter(const std::string& run_or_checkpoint, const std::string& destination,
                        const Warning& warn = {});

}  // namespace heed::recipes
