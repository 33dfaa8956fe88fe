// A model folder of the Hugging Face hub as a run of heed's: recipe.yaml and a checkpoint of step
// 0, which `heed eval`, `generate` and `export` take, and `train.from`.
//
//   FOLDER/config.json                     DST/recipe.yaml
//   FOLDER/model.safetensors (or shards)   DST/checkpoints/step-00000000/model.safetensors
//   FOLDER/tokenizer.json                  DST/checkpoints/step-00000000/tokenizer.json
//   FOLDER/generation_config.json, ...     DST/checkpoints/step-00000000/hf-generation_config.json
#pragma once

#include <cstdint>
#include <string>

#include "recipes/engine/checkpoint.h"

namespace heed::recipes {

struct Imported {
  std::string checkpoint;  ///< its folder
  std::string model_type;  ///< of config.json
  std::string model;       ///< heed's
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;    ///< of the weights, whose dtype stays as it is
  int64_t updates = 0;  ///< linear layers that an adapter updates
};

/// A PEFT adapter to put onto the imported model; see hf/peft_import.h.
struct ImportedAdapter {
  std::string folder;   ///< empty: none
  bool merged = false;  ///< into the weights; else the run has `lora`, and trains on from there
};

namespace hf {
/// Writes a new run's folder, whole or not at all: the recipe and a checkpoint, whose folder it
/// returns.
std::string write_run(const CheckpointContent& content, const std::string& destination);
}  // namespace hf

/// Imports a folder; `destination` must not exist, or be empty, and appears whole or not at all.
/// Weights are read through a memory map and written as they come: the memory taken is that of the
/// largest tensor. A RequestError names what heed cannot do, what is missing (a file, a shard, a
/// tensor) and what has another shape than config.json asks for. `warn` hears of tensors that
/// nothing of the model is made of (another head's), and of a tokenizer that heed cannot read.
Imported import_model(const std::string& folder, const std::string& destination,
                      const Warning& warn = {}, const ImportedAdapter& adapter = {});

}  // namespace heed::recipes
