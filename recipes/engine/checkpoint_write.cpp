// write_checkpoint: every rank its files, rank 0 the rest and the folder's name.
#include <algorithm>
#include <map>

#include "core/checksum.h"
#include "core/config.h"
#include "core/files.h"
#include "distributed/world.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/checkpoint_files.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using namespace checkpoint_files;

void remove_temporaries(const std::string& checkpoints) {
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (entry.path().filename().string().starts_with(kTemporary))
      remove_tree(entry.path().string());
  }
}

std::vector<PendingTensor> with_pending(const NamedTensors& tensors,
                                        std::vector<PendingTensor> all = {}) {
  for (const auto& [name, tensor] : tensors) all.push_back(pending(name, tensor));
  return all;
}

// "model.safetensors" where one rank writes it all, "model-00001-of-00002.safetensors" and so on
// where several share it, with the index that says what is where.
class SharedFile {
 public:
  /// Every rank calls it with what it could write; of those that offer a tensor the first does.
  /// Without any tensor there is an empty file, or none where it is `optional`.
  SharedFile(std::string kind, const std::vector<PendingTensor>& offered, Communicator& ranks,
             bool optional = false)
      : kind_(std::move(kind)), rank_(ranks.rank()) {
    Config names = Config::map();
    for (const PendingTensor& tensor : offered) names.add(tensor.name, tensor.bytes());
    int rank = 0;
    std::map<int, int64_t> numbers;  // of the files, by rank
    for (const std::string& text : ranks.all_gather_text(names.to_json())) {
      const Config all = parse_json(text, kind_);
      for (const auto& [name, bytes] : all.as_map()) {
        if (!writers_.emplace(name, rank).second) continue;
        numbers.emplace(rank, static_cast<int64_t>(numbers.size()) + 1);
        total_bytes_ += bytes.as_integer();
      }
      ++rank;
    }
    for (const auto& [writer, number] : numbers) {
      files_[writer] = numbers.size() == 1 ? kind_ + ".safetensors"
                                           : fmt::format("{}-{:05}-of-{:05}.safetensors", kind_,
                                                         number, numbers.size());
    }
    if (files_.empty() && !optional) files_[0] = kind_ + ".safetensors";
    for (const PendingTensor& tensor : offered) {
      if (writers_.at(tensor.name) == rank_) own_.push_back(tensor);
    }
  }

  /// Writes this rank's file; its line of SHA256SUMS.
  std::string write(const std::string& folder) const {
    if (!files_.contains(rank_)) return "";
    const std::string& file = files_.at(rank_);
    write_pending_safetensors(join(folder, file), own_);
    return sha256_file(join(folder, file)) + "  " + file + "\n";
  }

  /// The same of the index, if there is one.
  std::string write_index(const std::string& folder) const {
    if (files_.size() < 2) return "";
    std::vector<std::pair<std::string, std::string>> weight_map;
    for (const auto& [name, writer] : writers_) weight_map.emplace_back(name, files_.at(writer));
    const std::string file = kind_ + ".safetensors" + kIndex;
    write_safetensors_index(join(folder, file), weight_map, total_bytes_);
    return sha256_file(join(folder, file)) + "  " + file + "\n";
  }

 private:
  std::string kind_;
  int rank_;
  std::vector<PendingTensor> own_;
  std::map<std::string, int> writers_;  // of the tensors
  std::map<int, std::string> files_;    // of the ranks
  int64_t total_bytes_ = 0;
};

// Lines of SHA256SUMS in order of the files' names.
std::string sorted_lines(const std::string& text) {
  std::map<std::string, std::string> lines;
  constexpr size_t kName = 66;  // behind 64 digits and two spaces
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin) + 1;
    lines[text.substr(begin + kName, end - begin - kName)] = text.substr(begin, end - begin);
    begin = end;
  }
  std::string sorted;
  for (const auto& [name, line] : lines) sorted += line;
  return sorted;
}

// What rank 0 alone writes: everything that the ranks' files do not hold.
std::string write_rest(const std::string& folder, const CheckpointContent& content) {
  std::vector<std::string> before;
  for (const auto& entry : fs::directory_iterator(folder)) {
    before.push_back(entry.path().filename().string());
  }
  write_file_atomically(join(folder, "state.pb"), serialize_state(content.state));
  write_file_atomically(join(folder, "recipe.yaml"), content.recipe_yaml);
  if (content.assets) content.assets(folder);
  std::string sums;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (std::find(before.begin(), before.end(), file) != before.end()) continue;
    sums += sha256_file(entry.path().string()) + "  " + file + "\n";
  }
  return sums;
}

}  // namespace

std::string write_checkpoint(const std::string& run_dir, const CheckpointContent& content) {
  const auto self = self_communicator();
  return write_checkpoint(run_dir, content, *self);
}

std::string write_checkpoint(const std::string& run_dir, const CheckpointContent& content,
                             Communicator& ranks) {
  const bool first = ranks.rank() == 0;
  const std::string checkpoints = join(run_dir, "checkpoints");
  const std::string name = fmt::format("step-{:08}", content.state.step);
  const std::string folder = join(checkpoints, kTemporary + name);
  const std::string path = join(checkpoints, name);
  agree(ranks, [&] {
    if (!first) return;
    make_directories(checkpoints);
    remove_temporaries(checkpoints);
    fs::create_directory(folder);
  });
  try {
    const SharedFile model("model", with_pending(content.model, content.pending), ranks);
    const SharedFile optimizer("optimizer", with_pending(content.optimizer), ranks);
    const SharedFile ema("ema", with_pending(content.ema), ranks, /*optional=*/true);
    std::string sums;
    agree(ranks, [&] {
      for (const SharedFile* file : {&model, &optimizer, &ema}) sums += file->write(folder);
    });
    const std::vector<std::string> all = ranks.all_gather_text(sums);
    agree(ranks, [&] {
      if (!first) return;
      std::string lines;
      for (const std::string& text : all) lines += text;
      for (const SharedFile* file : {&model, &optimizer, &ema}) lines += file->write_index(folder);
      lines += write_rest(folder, content);
      write_file_atomically(join(folder, kSums), sorted_lines(lines));
      sync_path(folder);
      remove_tree(path);  // a damaged one of the same step, which the run has passed over
      rename_durably(folder, path);
    });
  } catch (...) {
    if (first) remove_tree(folder);  // makes room
    throw;
  }
  return path;
}

}  // namespace heed::recipes
