// Export of a checkpoint for use elsewhere.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "recipes/engine/checkpoint.h"
#include "recipes/engine/onnx/export.h"

namespace heed::recipes {

struct Exported {
  std::string checkpoint;
  int64_t step = 0;
  std::vector<std::string> files;            ///< paths written
  std::vector<std::string> inputs, outputs;  ///< onnx: "ids i64[1, 64]"
};

/// The formats that export_model knows.
const std::vector<std::string>& export_formats();

/// Writes the model of a run or checkpoint into the folder `destination`. "safetensors" (made if
/// need be; files of the same names are replaced): model.safetensors, config.json and the
/// tokenizer. "hf": see hf/export.h; files of weights are at most `most_bytes` large. "peft": the
/// low-rank updates alone, see hf/peft_export.h. "onnx": `destination` is a file, see
/// onnx/checkpoint.h. The averaged weights are taken when there are any and `evaluation.use_ema`.
Exported export_model(const std::string& run_or_checkpoint, const std::string& destination,
                      const std::string& format, const Warning& warn = {},
                      int64_t most_bytes = 5'000'000'000, const onnx::Sizes& sizes = {});

}  // namespace heed::recipes
