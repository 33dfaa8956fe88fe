#include "recipes/engine/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/checksum.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "distributed/world.h"
#include "recipes/engine/checkpoint_files.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using namespace checkpoint_files;

/// The step of a folder called step-N; -1 for any other name.
int64_t step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix) || name.size() > kPrefix.size() + 18) return -1;
  const std::string digits = name.substr(kPrefix.size());
  const bool number = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  return number ? std::stoll(digits) : -1;
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

/// What is wrong with a checkpoint, of whose files every `ranks`th is summed up, from the `rank`th.
std::string problem_of(const std::string& path, int rank, int ranks) {
  const std::string sums_path = join(path, kSums);
  if (!fs::is_regular_file(sums_path)) return sums_path + " is missing";
  const auto sums = parse_sums(read_file(sums_path));
  const auto listed = [&](const std::string& name) {
    return std::any_of(sums.begin(), sums.end(),
                       [&](const auto& sum) { return sum.first == name; });
  };
  for (const std::string needed :
       {"model.safetensors", "optimizer.safetensors", "state.pb", "recipe.yaml"}) {
    if (!listed(needed) && !listed(needed + kIndex)) {
      return sums_path + " is damaged: it does not list " + needed;
    }
  }
  int number = 0;
  for (const auto& [name, sum] : sums) {
    const std::string file = join(path, name);
    if (!fs::is_regular_file(file)) return file + " is missing";
    if (number++ % ranks == rank && sha256_file(file) != sum) {
      return file + " is damaged: its SHA-256 is not the one in " + kSums;
    }
  }
  return "";
}

/// The checkpoints of a run. Files that only some ranks see would otherwise end in different
/// weights, unnoticed.
std::vector<CheckpointInfo> seen_by_all(const std::string& run_dir, Communicator& ranks) {
  std::vector<CheckpointInfo> found;
  agree(ranks, [&] { found = list_checkpoints(run_dir); });
  std::vector<std::string> steps;
  for (const CheckpointInfo& one : found) steps.push_back(std::to_string(one.step));
  const std::string own =
      found.empty() ? "no checkpoint" : fmt::format("those of step {}", fmt::join(steps, ", "));
  const std::vector<std::string> all = ranks.all_gather_text(own);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw AgreedRequestError(
        fmt::format("{}: of its checkpoints rank 0 sees {}, rank {} {}: all ranks must see the "
                    "same run folder",
                    run_dir, all[0], rank, all[rank]));
  }
  return found;
}

}  // namespace

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
  const auto self = self_communicator();
  return verify_checkpoint(path, *self);
}

std::string verify_checkpoint(const std::string& path, Communicator& ranks) {
  std::string problem;
  agree(ranks, [&] { problem = problem_of(path, ranks.rank(), ranks.size()); });
  const std::vector<std::string> all = ranks.all_gather_text(problem);
  const auto first = std::find_if(all.begin(), all.end(), [](const auto& p) { return !p.empty(); });
  return first == all.end() ? "" : *first;
}

CheckpointInfo latest_checkpoint(const std::string& run_dir, const Warning& warn) {
  const auto self = self_communicator();
  return latest_checkpoint(run_dir, *self, warn);
}

CheckpointInfo latest_checkpoint(const std::string& run_dir, Communicator& ranks,
                                 const Warning& warn) {
  const std::vector<CheckpointInfo> all = seen_by_all(run_dir, ranks);
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const std::string problem = verify_checkpoint(it->path, ranks);
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
  // One file, or the index of several.
  const auto tensors_of = [&path](const char* kind) {
    const std::string file = join(path, fmt::format("{}.safetensors", kind));
    return read_safetensors(fs::exists(file + kIndex) ? file + kIndex : file).tensors;
  };
  CheckpointContent content;
  content.model = tensors_of("model");
  content.optimizer = tensors_of("optimizer");
  const std::string ema = join(path, "ema.safetensors");
  if (fs::exists(ema) || fs::exists(ema + kIndex)) content.ema = tensors_of("ema");
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
