// The recipe's `lora` section that makes room for an adapter: which linear layers get updates of
// which rank, as globs of heed's names.
#pragma once

#include "nn/module.h"
#include "recipes/engine/hf/peft_import.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes::hf {

/// The options by which adapt() gives `module` the adapter's updates and no other. The commonest
/// rank and alpha are the section's, others groups; blocks that all have an update are one glob
/// ("text.blocks.*.attn.qkv"). A RequestError for a tensor that was trained whole and whose module
/// has others that were not: a recipe names modules.
AdaptOptions options_of(const Adapter& adapter, nn::Module& module);

}  // namespace heed::recipes::hf
