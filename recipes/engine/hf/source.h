// What an export starts from: the weights of a checkpoint and the model that they are of.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/safetensors.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes::hf {

/// What becomes of low-rank updates.
enum class Updates { merged, apart };

struct Source {
  NamedTensors weights;                         ///< mapped as far as they need no work
  std::shared_ptr<const SafetensorsFile> file;  ///< that most of them lie in
  Config model;                                 ///< a whole `model` section
  std::optional<Config> carried;                ///< the config.json that the model once came with
  Recipe recipe = {};
};

/// Reads a checkpoint: the averaged weights where there are any and `evaluation.use_ema`.
Source read_source(const std::string& checkpoint, const CheckpointContent& content,
                   Updates updates);

/// The model with the one width that a default hides.
Config with_hidden(const Source& source);

/// The family that has such models (the one that this came from, if it is still one of them), or
/// nullptr.
const Family* family_for(const Source& source, const Config& model);

}  // namespace heed::recipes::hf
