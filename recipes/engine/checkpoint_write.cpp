// write_checkpoint: every rank its files, rank 0 the rest and the folder's name.
#include <algorithm>
#include <map>

#include "core/checksum.h"
#include "core/config.h"
#include "core/files.h"
#include "core/safetensors.h"
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

// "model.safetensors" where one rank writes it all, "model-00001-of-00002.safetensors" and so on
// where several share it, with the index that says what is where.
class SharedFile {
 public:
  /// Every rank calls it with what it writes.
  SharedFile(std::string kind, const NamedTensors& own, Communicator& ranks)
      : kind_(std::move(kind)), own_(own) {
    Config names = Config::map();
    int64_t bytes = 0;
    for (const auto& [name, tensor] : own) {
      names.add(name, tensor.bytes());
      bytes += tensor.bytes();
    }
    for (const std::string& text : ranks.all_gather_text(names.to_json())) {
      tensors_.push_back(parse_json(text, kind_));
    }
    int64_t number = 0;
    for (const Config& tensors : tensors_) {
      number_.push_back(tensors.as_map().empty() ? 0 : ++number);
    }
    files_ = number;
    rank_ = static_cast<size_t>(ranks.rank());
  }

  /// Writes this rank's file; its line of SHA256SUMS.
  std::string write(const std::string& folder) const {
    if (own_.empty()) return "";
    const std::string file = name_of(rank_);
    write_safetensors(join(folder, file), own_);
    return sha256_file(join(folder, file)) + "  " + file + "\n";
  }

  /// The same of the index, if there is one.
  std::string write_index(const std::string& folder) const {
    if (files_ < 2) return "";
    std::map<std::string, std::string> places;
    int64_t total = 0;
    for (size_t rank = 0; rank < tensors_.size(); ++rank) {
      for (const auto& [name, bytes] : tensors_[rank].as_map()) {
        HEED_CHECK(places.emplace(name, name_of(rank)).second, "checkpoint: two ranks write '{}'",
                   name);
        total += bytes.as_integer();
      }
    }
    Config weight_map = Config::map();
    for (const auto& [name, file] : places) weight_map.add(name, file);
    Config metadata = Config::map();
    metadata.add("total_size", total);
    Config index = Config::map();
    index.add("metadata", std::move(metadata));
    index.add("weight_map", std::move(weight_map));
    const std::string file = kind_ + ".safetensors" + kIndex;
    write_file_atomically(join(folder, file), index.to_json() + "\n");
    return sha256_file(join(folder, file)) + "  " + file + "\n";
  }

 private:
  std::string name_of(size_t rank) const {
    return files_ == 1 ? kind_ + ".safetensors"
                       : fmt::format("{}-{:05}-of-{:05}.safetensors", kind_, number_[rank], files_);
  }

  std::string kind_;
  const NamedTensors& own_;
  std::vector<Config> tensors_;  // names and bytes, of each rank
  std::vector<int64_t> number_;
  int64_t files_ = 0;
  size_t rank_ = 0;
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
    const SharedFile model("model", content.model, ranks);
    const SharedFile optimizer("optimizer", content.optimizer, ranks);
    const SharedFile ema("ema", content.ema, ranks);
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
