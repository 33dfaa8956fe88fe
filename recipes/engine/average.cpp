#include "recipes/engine/average.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "kernels/copy/copy.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::vector<CheckpointInfo> last_good(const std::string& run, int64_t count, const Warning& warn) {
  std::vector<CheckpointInfo> all = list_checkpoints(run), good;
  while (!all.empty() && std::ssize(good) < count) {
    const std::string wrong = verify_checkpoint(all.back().path);
    if (wrong.empty()) {
      good.insert(good.begin(), all.back());
    } else if (warn) {
      warn(wrong);
    }
    all.pop_back();
  }
  if (std::ssize(good) < count) {
    fail_request(
        "average: '{}' has {} good checkpoints, and {} are wanted (train.keep_checkpoints "
        "says how many a run keeps)",
        run, good.size(), count);
  }
  return good;
}

// The same tensor of each checkpoint.
Tensor mean_of(const std::vector<Tensor>& tensors) {
  if (!is_floating(tensors.back().dtype())) return tensors.back();
  const Shape& shape = tensors.back().shape();
  Tensor sum = Tensor::zeros(shape, DType::f64);
  auto* sums = sum.data<double>();
  for (const Tensor& tensor : tensors) {
    const Tensor wide = kernels::cast(tensor, DType::f64);
    const double* values = wide.data<double>();
    for (int64_t i = 0; i < sum.numel(); ++i) sums[i] += values[i];
  }
  for (int64_t i = 0; i < sum.numel(); ++i) sums[i] /= static_cast<double>(tensors.size());
  return kernels::cast(sum, tensors.back().dtype());
}

// What a task saved beside the weights.
void copy_assets(const std::string& from, const std::string& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const bool own = name == "state.pb" || name == "recipe.yaml" || name == "SHA256SUMS" ||
                     name.find(".safetensors") != std::string::npos;
    if (!own) fs::copy(entry.path(), fs::path(to) / name, fs::copy_options::recursive);
  }
}

}  // namespace

AveragedCheckpoint average_checkpoints(const std::string& run, const std::string& destination,
                                       int64_t count, const Warning& warn) {
  HEED_CHECK(count >= 2, "average: {} checkpoints have no mean of their own", count);
  if (fs::exists(destination) && !(fs::is_directory(destination) && fs::is_empty(destination))) {
    fail_request("average: '{}' is there already; give a new folder", destination);
  }
  AveragedCheckpoint result{"", last_good(run, count, warn)};
  std::vector<CheckpointContent> contents;
  for (const CheckpointInfo& source : result.sources) {
    contents.push_back(read_checkpoint(source.path));
  }
  CheckpointContent& last = contents.back();
  std::vector<std::map<std::string, Tensor>> by_name;
  for (size_t i = 0; i < contents.size(); ++i) {
    by_name.emplace_back(contents[i].model.begin(), contents[i].model.end());
    if (by_name[i].size() != last.model.size()) {
      fail_request("average: '{}' and '{}' hold {} and {} tensors", result.sources[i].path,
                   result.sources.back().path, by_name[i].size(), last.model.size());
    }
  }
  CheckpointContent averaged;
  for (const auto& [name, tensor] : last.model) {
    std::vector<Tensor> same;
    for (size_t i = 0; i < contents.size(); ++i) {
      const auto found = by_name[i].find(name);
      if (found == by_name[i].end()) {
        fail_request("average: '{}' holds no '{}'", result.sources[i].path, name);
      }
      if (found->second.shape() != tensor.shape() || found->second.dtype() != tensor.dtype()) {
        fail_request("average: '{}' is {} in '{}' and {} in '{}'", name, found->second,
                     result.sources[i].path, tensor, result.sources.back().path);
      }
      same.push_back(found->second);
    }
    averaged.model.emplace_back(name, mean_of(same));
  }
  averaged.state = last.state;
  averaged.recipe_yaml = last.recipe_yaml;
  averaged.assets = [&](const std::string& folder) {
    copy_assets(result.sources.back().path, folder);
  };
  result.path = write_checkpoint(destination, averaged);
  return result;
}

}  // namespace heed::recipes
