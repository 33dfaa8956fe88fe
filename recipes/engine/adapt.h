// Training from weights that exist: all of a model, or low-rank updates of a frozen one.
#pragma once

#include <functional>
#include <string>

#include "recipes/engine/checkpoint.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

/// Where the recipe has `lora` (rank > 0): freezes the module, gives the linear layers that
/// `groups` and `targets` name low-rank updates (the first that names a layer counts), and lets the
/// modules that `also` names train as they are. A RequestError names a pattern that matches
/// nothing.
void adapt(nn::Module& module, const AdaptOptions& options);

/// Adds every low-rank update to its layer's weight, for good; tensors of these updates (see
/// is_update()) have no part in the outputs any more.
void merge_updates(nn::Module& module);
/// Whether a state_dict's name is a low-rank update's ("blocks.0.attn.qkv.lora.up.weight").
bool is_update(const std::string& name);

/// Copies the weights of a run, checkpoint or .safetensors file into the module. Tables of
/// positions on a grid are resized to the module's (nn/resized_table.h). Tensors that it does not
/// have, or has in another shape (a head for other classes), keep their values and are named in one
/// warning. A RequestError when not one fits.
void start_from(nn::Module& module, const std::string& path, const Warning& warn);

}  // namespace heed::recipes
