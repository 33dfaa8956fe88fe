#include "recipes/engine/hf/export.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/files.h"
#include "core/safetensors.h"
#include "core/views.h"
#include "nn/registry.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/described.h"
#include "recipes/engine/hf/files.h"
#include "recipes/engine/hf/sentences.h"
#include "recipes/engine/hf/source.h"
#include "recipes/engine/hf/tensor_map.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using namespace hf;
using checkpoint_files::join;

// Whose names the tensors of a model without a family have: those that name most of them.
const Family& nearest_family(const Source& source, const Config& model) {
  const Config meaning = meaning_of(model);
  const Family* nearest = nullptr;
  int64_t most = 0;
  for (const Family& family : families()) {
    if (family.model != model.at("type").as_string()) continue;
    int64_t named = 0;
    for (const auto& [name, tensor] : source.weights) {
      const Placement placed =
          placement_of({&family, nullptr, false, meaning}, name, tensor.shape());
      named += placed.parts.front().name == name ? 0 : 1;
    }
    if (named > most) nearest = &family;
    most = std::max(most, named);
  }
  if (nearest == nullptr) {
    fail_request(
        "export: models of type '{}' have no form on the Hugging Face hub; --format "
        "safetensors has their weights",
        model.at("type").as_string());
  }
  return *nearest;
}

const char* dtype_on_hub(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return "bfloat16";
    case DType::f16:
      return "float16";
    case DType::f64:
      return "float64";
    default:
      return "float32";
  }
}

// The config.json of a model that the family has. What it once came with stays as it was where it
// still says the same; our own part is there when it does not say all of the model.
Config config_in(const Family& family, const Source& source, const Config& model) {
  Config config = write_config(family, model);
  if (source.carried && find_family(source.carried->at("model_type").as_string()) == &family) {
    Config carried = *source.carried;
    carried.erase(kOwn);
    if (!(meaning_of(read_model(family, carried)) == meaning_of(model))) {
      for (const Rule& rule : family.rules) {
        for (const std::string& key : rule.theirs) carried.erase(key);
      }
      const auto labels = [](const Config& c) {
        const Config* names = c.find("id2label");
        return names == nullptr || names->is_null() ? 0 : names->as_map().size();
      };
      const bool same_labels = labels(carried) == labels(config);
      for (const auto& [key, value] : config.as_map()) {
        if (same_labels && (key == "id2label" || key == "label2id")) continue;
        carried.set(key, value);
      }
    }
    config = carried;
  }
  if (!(read_model(family, config) == source.model)) {
    config.set(kOwn, Config::Map{{"model", source.model}});
  }
  return config;
}

Config config_without_family(const Family& names, const Source& source, const Config& model) {
  Config config = write_config(names, model);
  config.set("model_type", kOwnType);
  config.set("architectures", Config::List{fmt::format("Heed-{}", model.at("type").as_string())});
  config.set(kOwn, Config::Map{{"names", names.model_type}, {"model", source.model}});
  return config;
}

void set_dtype(const Source& source, Config& config) {
  const DType dtype = source.weights.front().second.dtype();
  const bool newer = config.has("dtype");
  const Config* given = config.find(newer ? "dtype" : "torch_dtype");
  if (given != nullptr && *given == Config(dtype_on_hub(dtype))) return;
  config.set(newer ? "dtype" : "torch_dtype", dtype_on_hub(dtype));
}

std::vector<PendingTensor> tensors_of(const Source& source, const Naming& naming) {
  std::vector<PendingTensor> tensors;
  for (const auto& [name, tensor] : source.weights) {
    const Placement placed = placement_of(naming, name, tensor.shape());
    int64_t row = 0;
    for (const Placement::Part& part : placed.parts) {
      const Tensor rows =
          placed.parts.size() == 1 ? tensor : views::slice(tensor, 0, row, row + part.rows);
      tensors.push_back(pending(part.name, to_theirs(rows, placed.layout)));
      tensors.back().written = [file = source.file, rows] { file->release(rows); };
      row += part.rows;
    }
  }
  return tensors;
}

// Two equal texts of one document: the one that it came with, where nothing in it changed.
std::string text_of(const Config& config, const std::string& checkpoint) {
  for (const auto& [path, name] : files_kept_in(checkpoint)) {
    if (name == kConfig && read_json_file(path) == config) return read_file(path);
  }
  return config.to_json(2) + "\n";
}

}  // namespace

Exported export_to_hub(const std::string& run_or_checkpoint, const std::string& destination,
                       int64_t most_bytes, const Warning& warn) {
  const CheckpointInfo checkpoint = find_checkpoint(run_or_checkpoint, warn);
  const CheckpointContent content = read_checkpoint(checkpoint.path);
  const Source source = read_source(checkpoint.path, content, Updates::merged);
  const Config model = with_hidden(source);
  const Family* family = family_for(source, model);
  const Family& names = family != nullptr ? *family : nearest_family(source, model);
  Config config = family != nullptr ? config_in(*family, source, model)
                                    : config_without_family(names, source, model);
  set_dtype(source, config);
  Naming naming{&names, nullptr, false, meaning_of(model)};
  if (family != nullptr) {
    naming.architecture = architecture_for(*family, model);
    naming.bare = naming.architecture->bare;
  }

  Exported result{checkpoint.path, checkpoint.step, {}};
  std::vector<std::string> written;
  appear_whole(destination, [&](const std::string& folder) {
    const auto write = [&](const std::string& name, const std::string& bytes) {
      make_directories(fs::path(join(folder, name)).parent_path().string());
      write_file_atomically(join(folder, name), bytes);
      written.push_back(name);
    };
    written = write_safetensors_shards(folder, tensors_of(source, naming), most_bytes,
                                       {{"format", "pt"}});
    write(kConfig, text_of(config, checkpoint.path));
    write(kRecipe, content.recipe_yaml);
    bool own_model = false;  // the .model that the tokenizer is of says it to everyone
    const auto sentences = sentence_files(source.model, checkpoint.path);
    for (const auto& [name, text] : sentences) write(name, text);
    for (const auto& [path, name] : files_kept_in(checkpoint.path)) {
      const bool anew = std::any_of(sentences.begin(), sentences.end(),
                                    [&](const auto& file) { return file.first == name; });
      if (name != kConfig && !anew) write(name, read_file(path));
      own_model = own_model || name == "tokenizer.model" || name == "spiece.model";
    }
    const std::string tokenizer = join(checkpoint.path, kTokenizer);
    if (!fs::exists(tokenizer)) return;
    const std::string text = read_file(tokenizer);
    const Config document = own_model ? parse_json(text, tokenizer) : Config();
    const Config* type = document.find("type");
    if (type == nullptr || *type != Config("sentencepiece")) write(kTokenizer, text);
  });
  for (const std::string& name : written) result.files.push_back(join(destination, name));
  return result;
}

}  // namespace heed::recipes
