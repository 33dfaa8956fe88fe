#include "recipes/engine/export.h"

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "core/safetensors.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/hf/export.h"
#include "recipes/engine/hf/peft_export.h"
#include "recipes/engine/onnx/checkpoint.h"

namespace heed::recipes {

namespace fs = std::filesystem;

const std::vector<std::string>& export_formats() {
  static const std::vector<std::string> formats = {"safetensors", "hf", "peft", "onnx"};
  return formats;
}

Exported export_model(const std::string& run_or_checkpoint, const std::string& destination,
                      const std::string& format, const Warning& warn, int64_t most_bytes,
                      const onnx::Sizes& sizes) {
  const auto& formats = export_formats();
  if (std::find(formats.begin(), formats.end(), format) == formats.end()) {
    fail_request("export: unknown format '{}'{}; this build writes: {}", format,
                 did_you_mean(format, formats), fmt::join(formats, ", "));
  }
  if (format == "hf") return export_to_hub(run_or_checkpoint, destination, most_bytes, warn);
  if (format == "peft") return export_adapter(run_or_checkpoint, destination, warn);
  if (format == "onnx")
    return export_to_onnx(run_or_checkpoint, destination, sizes, most_bytes, warn);
  if (fs::exists(destination) && !fs::is_directory(destination)) {
    fail_request("export: '{}' is a file; give a folder", destination);
  }
  const LoadedRun run = load_run(run_or_checkpoint, TaskUse::generate, {}, warn);

  make_directories(destination);
  Exported result{run.checkpoint.path, run.checkpoint.step, {}, {}, {}};
  const auto path_of = [&](const char* name) { return (fs::path(destination) / name).string(); };
  nn::Module& module = run.task->module();
  merge_updates(module);
  NamedTensors weights = nn::state_dict(module);
  std::erase_if(weights, [](const auto& entry) { return is_update(entry.first); });
  write_safetensors(path_of("model.safetensors"), weights);
  write_file_atomically(path_of("config.json"), run.task->export_config().to_json(2) + "\n");
  result.files = {path_of("model.safetensors"), path_of("config.json")};
  for (const std::string& asset : run.task->save_assets(destination)) {
    result.files.push_back(asset);
  }
  return result;
}

}  // namespace heed::recipes
