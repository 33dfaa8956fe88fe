// Several files of a size that others can handle, and the index that says what is where.
#include "core/config.h"
#include "core/files.h"
#include "core/safetensors.h"

namespace heed {

void write_safetensors_index(const std::string& path,
                             const std::vector<std::pair<std::string, std::string>>& weight_map,
                             int64_t total_bytes) {
  Config map = Config::map();
  for (const auto& [name, file] : weight_map) map.add(name, file);
  Config metadata = Config::map();
  metadata.add("total_size", total_bytes);
  Config index = Config::map();
  index.add("metadata", std::move(metadata));
  index.add("weight_map", std::move(map));
  write_file_atomically(path, index.to_json() + "\n");
}

std::vector<std::string> write_safetensors_shards(
    const std::string& folder, std::vector<PendingTensor> tensors, int64_t most_bytes,
    const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::vector<std::vector<PendingTensor>> shards(1);
  int64_t total = 0, filled = 0;
  for (PendingTensor& tensor : tensors) {
    if (!shards.back().empty() && filled + tensor.bytes() > most_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += tensor.bytes();
    total += tensor.bytes();
    shards.back().push_back(std::move(tensor));
  }
  std::vector<std::string> files;
  std::vector<std::pair<std::string, std::string>> weight_map;
  for (size_t i = 0; i < shards.size(); ++i) {
    files.push_back(shards.size() == 1
                        ? "model.safetensors"
                        : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
    for (const PendingTensor& tensor : shards[i]) weight_map.emplace_back(tensor.name, files[i]);
    write_pending_safetensors(folder + "/" + files[i], std::move(shards[i]), metadata);
  }
  if (files.size() > 1) {
    files.emplace_back("model.safetensors.index.json");
    write_safetensors_index(folder + "/" + files.back(), weight_map, total);
  }
  return files;
}

}  // namespace heed
