// Checkpoints: folders under <run>/checkpoints, each written whole or not at all.
//
//   step-00001000/
//     model.safetensors      parameters and buffers
//     optimizer.safetensors  moments
//     ema.safetensors        averaged parameters, if the recipe asks for them
//     state.pb               step, seed, data position, best metric, mesh (state.proto)
//     recipe.yaml            the resolved recipe
//     tokenizer.json         and whatever else the task saves
//     SHA256SUMS             of all the above, as sha256sum prints them
//
// Several ranks write at once, each some of the tensors, laid out as on the Hugging Face hub:
//
//     model-00001-of-00002.safetensors, model-00002-of-00002.safetensors
//     model.safetensors.index.json   which tensor is in which file; optimizer and ema likewise
//
// Both layouts hold whole tensors and are read alike, by any number of ranks.
//
// A folder is written under a temporary name, synced, then renamed; loading verifies the sums, so a
// file that was cut short or changed is found and named, and the checkpoint before it is used.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.h"
#include "core/tensor.h"
#include "distributed/communicator.h"
#include "recipes/engine/train_state.h"

namespace heed::recipes {

/// Hears what was found damaged and passed over.
using Warning = std::function<void(const std::string& message)>;

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct CheckpointContent {
  NamedTensors model;
  /// More of the model, made as it is written; none when read.
  std::vector<PendingTensor> pending = {};
  NamedTensors optimizer;
  NamedTensors ema;  ///< empty for none
  TrainState state;
  std::string recipe_yaml;
  /// Writes further files into the folder; may be empty.
  std::function<void(const std::string& folder)> assets;
};

struct CheckpointInfo {
  std::string path;
  int64_t step = 0;
};

/// Writes <run_dir>/checkpoints/step-N atomically and returns its path. Temporaries that a killed
/// run left behind are removed first.
std::string write_checkpoint(const std::string& run_dir, const CheckpointContent& content);
/// The same by all ranks, each of which gives whole tensors that it could write (those that several
/// give are written by the first of them); everything else counts on rank 0. Where one fails, all
/// throw the same error that names it, and what they wrote is removed.
std::string write_checkpoint(const std::string& run_dir, const CheckpointContent& content,
                             Communicator& ranks);

/// Removes all but the last `keep` checkpoints and those of the steps in `also`.
void prune_checkpoints(const std::string& run_dir, int64_t keep, const std::vector<int64_t>& also);

/// The checkpoints of a run by ascending step, unverified.
std::vector<CheckpointInfo> list_checkpoints(const std::string& run_dir);

/// "" when every file is there with its checksum, else what is wrong, naming the file.
std::string verify_checkpoint(const std::string& path);
/// The same by all ranks, each of which sums up some of the files; all learn what is wrong.
std::string verify_checkpoint(const std::string& path, Communicator& ranks);

/// The newest checkpoint of a run that verifies; `path` is empty when there is none. Damaged ones
/// are passed over, each with a warning.
CheckpointInfo latest_checkpoint(const std::string& run_dir, const Warning& warn = {});
/// The same, verified by all ranks together. An AgreedRequestError where they do not see the same
/// folder.
CheckpointInfo latest_checkpoint(const std::string& run_dir, Communicator& ranks,
                                 const Warning& warn = {});

/// A checkpoint folder itself (verified: RequestError when damaged), or the latest good one of a
/// run folder. RequestError when there is none.
CheckpointInfo find_checkpoint(const std::string& run_or_checkpoint, const Warning& warn = {});

/// Reads what write_checkpoint wrote (assets stay in the folder).
CheckpointContent read_checkpoint(const std::string& path);

/// The weights to use a checkpoint's model with: where `averaged`, the averages of those that it
/// holds averages of.
NamedTensors inference_weights(const CheckpointContent& content, bool averaged);
TrainState read_train_state(const std::string& path);

}  // namespace heed::recipes
