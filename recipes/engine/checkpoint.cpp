#include "recipes/engine/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/checksum.h"
#include "core/files.h"
#include "core/safetensors.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSums = "SHA256SUMS";
constexpr const char* kTemporary = ".writing-";

std::string folder_name(int64_t step) { return fmt::format("step-{:08}", step); }

/// The step of a folder called step-N; -1 for any other name.
int64_t step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix) || name.size() > kPrefix.size() + 18) return -1;
  const std::string digits = name.substr(kPrefix.size());
  const bool number = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  return number ? std::stoll(digits) : -1;
}

std::string join(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

/// The files of a folder that SHA256SUMS covers, sorted.
std::vector<std::string> covered_files(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != kSums) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void remove_temporaries(const std::string& checkpoints) {
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (entry.path().filename().string().starts_with(kTemporary))
      remove_tree(entry.path().string());
  }
}

/// Lines "<64 hex digits>  <name>" of SHA256SUMS; nothing when a line is malformed.
std::vector<std::pair<std::string, std::string>> parse_sums(const std::string& text) {
  constexpr size_t kDigits = 64;
  std::vector<std::pair<std::string, std::string>> sums;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos || end - begin < kDigits + 3) return {};
    const std::string line = text.substr(begin, end - begin);
    if (line.compare(kDigits, 2, "  ") != 0) return {};
    sums.emplace_back(line.substr(kDigits + 2), line.substr(0, kDigits));
    begin = end + 1;
  }
  return sums;
}

}  // namespace

std::string write_checkpoint(const std::string& run_dir, const CheckpointContent& content) {
  const std::string checkpoints = join(run_dir, "checkpoints");
  make_directories(checkpoints);
  remove_temporaries(checkpoints);

  const std::string name = folder_name(content.state.step);
  const std::string folder = join(checkpoints, kTemporary + name);
  fs::create_directory(folder);
  write_safetensors(join(folder, "model.safetensors"), content.model);
  write_safetensors(join(folder, "optimizer.safetensors"), content.optimizer);
  if (!content.ema.empty()) write_safetensors(join(folder, "ema.safetensors"), content.ema);
  write_file_atomically(join(folder, "state.pb"), serialize_state(content.state));
  write_file_atomically(join(folder, "recipe.yaml"), content.recipe_yaml);
  if (content.assets) content.assets(folder);

  std::string sums;
  for (const std::string& file : covered_files(folder)) {
    sums += sha256_file(join(folder, file)) + "  " + file + "\n";
  }
  write_file_atomically(join(folder, kSums), sums);
  sync_path(folder);

  const std::string path = join(checkpoints, name);
  remove_tree(path);  // a damaged one of the same step, which the run has passed over
  rename_durably(folder, path);
  return path;
}

std::vector<CheckpointInfo> list_checkpoints(const std::string& run_dir) {
  std::vector<CheckpointInfo> found;
  const fs::path checkpoints = fs::path(run_dir) / "checkpoints";
  if (!fs::is_directory(checkpoints)) return found;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0 && entry.is_directory()) found.push_back({entry.path().string(), step});
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step < b.step; });
  return found;
}

void prune_checkpoints(const std::string& run_dir, int64_t keep, const std::vector<int64_t>& also) {
  const std::vector<CheckpointInfo> all = list_checkpoints(run_dir);
  const auto count = static_cast<int64_t>(all.size());
  for (int64_t i = 0; i < count - keep; ++i) {
    const CheckpointInfo& old = all[static_cast<size_t>(i)];
    if (std::find(also.begin(), also.end(), old.step) == also.end()) remove_tree(old.path);
  }
}

std::string verify_checkpoint(const std::string& path) {
  const std::string sums_path = join(path, kSums);
  if (!fs::is_regular_file(sums_path)) return sums_path + " is missing";
  const auto sums = parse_sums(read_file(sums_path));
  const auto listed = [&](const std::string& name) {
    return std::any_of(sums.begin(), sums.end(),
                       [&](const auto& sum) { return sum.first == name; });
  };
  for (const char* needed :
       {"model.safetensors", "optimizer.safetensors", "state.pb", "recipe.yaml"}) {
    if (!listed(needed)) return sums_path + " is damaged: it does not list " + needed;
  }
  for (const auto& [name, sum] : sums) {
    const std::string file = join(path, name);
    if (!fs::is_regular_file(file)) return file + " is missing";
    if (sha256_file(file) != sum) {
      return file + " is damaged: its SHA-256 is not the one in " + kSums;
    }
  }
  return "";
}

CheckpointInfo latest_checkpoint(const std::string& run_dir, const Warning& warn) {
  const std::vector<CheckpointInfo> all = list_checkpoints(run_dir);
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const std::string problem = verify_checkpoint(it->path);
    if (problem.empty()) return *it;
    if (warn) {
      const bool last = it + 1 == all.rend();
      warn(problem + (last ? "; no older checkpoint is left"
                           : "; trying the checkpoint of step " + std::to_string((it + 1)->step)));
    }
  }
  return {};
}

CheckpointInfo find_checkpoint(const std::string& path, const Warning& warn) {
  if (!fs::is_directory(path)) {
    fail_request("{}: no such folder; give a run or one of its checkpoints", path);
  }
  if (fs::exists(join(path, "state.pb")) || fs::exists(join(path, kSums))) {
    const std::string problem = verify_checkpoint(path);
    if (!problem.empty()) fail_request("{}", problem);
    return {path, read_train_state(path).step};
  }
  const CheckpointInfo found = latest_checkpoint(path, warn);
  if (found.path.empty()) {
    fail_request("{}: holds no {}checkpoint", path,
                 list_checkpoints(path).empty() ? "" : "undamaged ");
  }
  return found;
}

TrainState read_train_state(const std::string& path) {
  const std::string file = join(path, "state.pb");
  return parse_state(read_file(file), file);
}

CheckpointContent read_checkpoint(const std::string& path) {
  CheckpointContent content;
  content.model = read_safetensors(join(path, "model.safetensors")).tensors;
  content.optimizer = read_safetensors(join(path, "optimizer.safetensors")).tensors;
  if (const std::string ema = join(path, "ema.safetensors"); fs::exists(ema)) {
    content.ema = read_safetensors(ema).tensors;
  }
  content.state = read_train_state(path);
  content.recipe_yaml = read_file(join(path, "recipe.yaml"));
  return content;
}

NamedTensors inference_weights(const CheckpointContent& content, bool averaged) {
  NamedTensors weights = content.model;
  if (!averaged) return weights;
  for (const auto& [name, average] : content.ema) {
    for (auto& [own_name, tensor] : weights) {
      if (own_name == name) tensor = average;
    }
  }
  return weights;
}

}  // namespace heed::recipes
