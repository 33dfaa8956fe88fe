// A run's model, or a recipe's with fresh weights, as an ONNX file.
#pragma once

#include <string>

#include "recipes/engine/export.h"

namespace heed::recipes {

/// Writes `destination`, a file (and destination.data where the weights have more than `most_bytes`
/// or kMostBytes), from a run, a checkpoint or a recipe's file: the averaged weights where there
/// are any and `evaluation.use_ema`, low-rank updates merged, all in f32. See onnx/export.h.
Exported export_to_onnx(const std::string& run_or_recipe, const std::string& destination,
                        const onnx::Sizes& sizes, int64_t most_bytes, const Warning& warn = {});

}  // namespace heed::recipes
