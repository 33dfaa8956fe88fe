#include "recipes/engine/hf/import.h"

#include <filesystem>
#include <optional>

#include "core/files.h"
#include "data/tokenizer.h"
#include "nn/registry.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/described.h"
#include "recipes/engine/hf/files.h"
#include "recipes/engine/hf/import_tensors.h"
#include "recipes/engine/hf/peft_import.h"
#include "recipes/engine/hf/peft_options.h"
#include "recipes/engine/hf/sentences.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using namespace hf;
using checkpoint_files::join;

void check_source(const std::string& folder) {
  if (!fs::is_directory(folder)) {
    fail_request("{}: no such folder; give one with config.json and model.safetensors", folder);
  }
  if (!fs::exists(join(folder, kConfig))) fail_request("{}: holds no {}", folder, kConfig);
  const std::string weights = join(folder, "model.safetensors");
  if (!fs::exists(weights) && !fs::exists(weights + ".index.json")) {
    const bool pickled = fs::exists(join(folder, "pytorch_model.bin")) ||
                         fs::exists(join(folder, "pytorch_model.bin.index.json"));
    fail_request("{}: holds neither model.safetensors nor model.safetensors.index.json{}", folder,
                 pickled ? "; pickled weights (pytorch_model.bin) are not read" : "");
  }
}

// A config.json may claim anything; what it claims is built before its tensors are compared.
void check_layers(const std::string& folder, const Config& model, size_t tensors) {
  int64_t layers = 0;  // each within limits.h's bound
  for (const Config* part : {&model, model.find("text"), model.find("vision")}) {
    const Config* own = part == nullptr ? nullptr : part->find("layers");
    if (own != nullptr) layers += own->as_integer();
  }
  if (layers > static_cast<int64_t>(tensors)) {
    fail_request("{}: {} has {} layers, and the weights are {} tensors", folder, kConfig, layers,
                 tensors);
  }
}

// A bare encoder whose folder says how the states of a text become one vector.
void read_pooling(const std::string& folder, Config& model) {
  const Config* masked = model.find("mlm");
  if (masked == nullptr || masked->as_bool() || model.at("classes") != Config(0)) return;
  const std::optional<SentencePooling> pooling = read_sentence_pooling(folder);
  if (!pooling) return;
  model.set("pool", pooling->pool);
  model.set("normalise", pooling->normalise);
  model.set("pooler", false);  // which sentence vectors are made without
}

// What the model is for, as far as its heads say.
Config task_of(const Config& model) {
  const std::string& type = model.at("type").as_string();
  const Config* classes = model.find("classes");
  const bool classifies = classes != nullptr && classes->as_integer() > 0;
  if (type == "gpt" || type == "llava") return Config::Map{{"type", "language_modeling"}};
  if (type == "vit" || classifies) return Config::Map{{"type", "classification"}};
  return Config::Map{{"type", "masked_language_modeling"}};
}

// The recipe that heed exported with the model, or one that knows no more than the model and where
// the tokenizer is: the files of `data` are the user's.
std::string recipe_of(const std::string& folder, const std::string& name, const Config& model,
                      const AdaptOptions& lora) {
  const Config updates = write_options(lora);
  if (const std::string own = join(folder, kRecipe); fs::exists(own)) {
    const std::string text = read_file(own);
    Config tree = parse_yaml(text, own);
    const Config* had = tree.find("lora");
    // What was merged before the export is part of the model now.
    const bool same = lora.rank == 0 ? had == nullptr || had->find("rank") == nullptr ||
                                           had->at("rank") == Config(0)
                                     : had != nullptr && *had == updates;
    if (same && tree.is_map() && tree.has("model") && tree.at("model") == model) return text;
    tree.set("model", model);
    if (!same) tree.set("lora", updates);
    return tree.to_yaml();
  }
  const Config task = task_of(model);
  const bool images = model.at("type").as_string() == "vit";
  const bool classifies = task.at("type") == Config("classification");
  Config data = images       ? Config::Map{{"type", "image-folder"}, {"train", ""}}
                : classifies ? Config::Map{{"type", "text-table"}, {"train", Config::list()}}
                             : Config::Map{{"type", "text"}, {"files", Config::list()}};
  if (!images && data::has_tokenizer_files(folder)) {
    data.set("tokenizer", Config::Map{{"file", kTokenizer}});
  }
  Config recipe = Config::Map{{"name", name},
                              {"description", "imported from the Hugging Face format"},
                              {"task", task},
                              {"model", model},
                              {"data", data}};
  if (lora.rank > 0) recipe.set("lora", updates);
  return to_config(recipe_from_config(recipe)).to_yaml();
}

// Copies the tokenizer and what else the folder holds; the former must be of use to heed.
void keep_files(const std::string& folder, const std::string& checkpoint, const Warning& warn) {
  const std::string tokenizer = join(folder, kTokenizer);
  if (data::has_tokenizer_files(folder)) {
    const bool own = fs::exists(tokenizer);
    if (own) write_file_atomically(join(checkpoint, kTokenizer), read_file(tokenizer));
    try {
      const auto loaded = data::load_tokenizer(own ? tokenizer : folder);
      if (!own) loaded->save(join(checkpoint, kTokenizer));
    } catch (const RequestError& error) {
      if (warn) {
        warn(fmt::format("the tokenizer is kept, but heed cannot use it: {}", error.what()));
      }
    }
  }
  for (const auto& [path, name] : kept_files(folder)) {
    write_file_atomically(join(checkpoint, fmt::format("{}{}", kKept, name)), read_file(path));
  }
}

}  // namespace

std::string hf::write_run(const CheckpointContent& content, const std::string& destination) {
  std::string checkpoint;
  appear_whole(destination, [&](const std::string& started) {
    const std::string written = write_checkpoint(started, content);
    checkpoint = join(destination, fs::relative(written, started).string());
    write_file_atomically(join(started, "recipe.yaml"), content.recipe_yaml);
    if (fs::exists(join(written, kTokenizer))) {
      write_file_atomically(join(started, kTokenizer), read_file(join(written, kTokenizer)));
    }
  });
  return checkpoint;
}

Imported import_model(const std::string& folder, const std::string& destination,
                      const Warning& warn, const ImportedAdapter& adapter) {
  check_source(folder);
  const Config config = read_json_file(join(folder, kConfig));
  const auto file = std::make_shared<const SafetensorsFile>(read_safetensors(folder));
  Described described = describe_config(config, *file);
  read_pooling(folder, described.model);
  check_layers(folder, described.model, file->tensors.size());
  const nn::ModuleEntry& entry = nn::find_module(described.model.at("type").as_string(), "model");

  CheckpointContent content;
  Imported result;
  AdaptOptions lora;
  result.model_type = described.model_type;
  result.model = entry.name;
  {
    const auto module = entry.make(described.model);
    result.parameters = module->parameter_count();
    content.pending = import_tensors(described, *module, file, folder, warn);
    if (!adapter.folder.empty()) {
      const Adapter read = read_adapter(adapter.folder, described, *module);
      put_on(read, adapter.merged, content.pending);
      result.updates = static_cast<int64_t>(read.updates.size());
      if (!adapter.merged) lora = options_of(read, *module);
    }
  }
  result.tensors = static_cast<int64_t>(content.pending.size());
  for (const PendingTensor& tensor : content.pending) result.bytes += tensor.bytes();

  const std::string name = name_of_folder(destination);
  content.recipe_yaml = recipe_of(folder, name, described.model, lora);
  content.assets = [&](const std::string& checkpoint) { keep_files(folder, checkpoint, warn); };
  result.checkpoint = write_run(content, destination);
  return result;
}

}  // namespace heed::recipes
