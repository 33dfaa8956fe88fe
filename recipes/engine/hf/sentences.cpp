#include "recipes/engine/hf/sentences.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/files.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/files.h"

namespace heed::recipes::hf {
namespace {

namespace fs = std::filesystem;
using checkpoint_files::join;

constexpr const char* kModules = "modules.json";
constexpr const char* kTexts = "sentence_bert_config.json";

// (theirs since version 6, the switch of before, ours or "")
struct Mode {
  const char* name;
  const char* before;
  const char* ours;
};
constexpr std::array<Mode, 6> kModes = {
    Mode{"cls", "pooling_mode_cls_token", "cls"},
    Mode{"max", "pooling_mode_max_tokens", "max"},
    Mode{"mean", "pooling_mode_mean_tokens", "mean"},
    Mode{"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", ""},
    Mode{"weightedmean", "pooling_mode_weightedmean_tokens", ""},
    Mode{"lasttoken", "pooling_mode_lasttoken", ""}};

[[noreturn]] void refuse_mode(const Config& where, const std::string& mode) {
  fail_request(where.where(),
               fmt::format("pooling by '{}' is not supported; known: cls, max, mean", mode));
}

std::string one_mode(const Config& value) {
  if (value.is_list()) {
    if (value.as_list().size() == 1) return one_mode(value.as_list().front());
    fail_request(value.where(), "pooling by several modes at once is not supported");
  }
  for (const Mode& mode : kModes) {
    if (value.as_string() == mode.name && *mode.ours != '\0') return mode.ours;
  }
  refuse_mode(value, value.as_string());
}

std::string mode_in(const Config& pooling) {
  if (const Config* mode = given(pooling, "pooling_mode")) return one_mode(*mode);
  Config::List on;
  for (const Mode& mode : kModes) {
    const Config* value = given(pooling, mode.before);
    if (value == nullptr || !value->as_bool()) continue;
    on.emplace_back(mode.name);
    on.back().set_where(value->where());
  }
  if (on.empty()) return "mean";  // as sentence-transformers takes it
  Config all(on);
  all.set_where(pooling.where());
  return one_mode(all);
}

// Whether the modules end in Normalize; others than the three are refused.
bool normalises(const Config& modules) {
  const std::array<const char*, 3> known = {"Transformer", "Pooling", "Normalize"};
  const Config::List& all = modules.as_list();
  for (size_t i = 0; i < all.size(); ++i) {
    const Config& type = all[i].at("type");
    const std::string& path = type.as_string();
    const std::string name = path.substr(path.rfind('.') + 1);
    if (i < known.size() && name == known[i]) continue;
    fail_request(type.where(), fmt::format("module {} is '{}'; known are Transformer, Pooling and "
                                           "then perhaps Normalize",
                                           i, name));
  }
  return all.size() == known.size();
}

// A file by its name in the folder of the hub, among a checkpoint's.
std::string kept(const std::string& checkpoint, const std::string& name) {
  for (const auto& [path, file] : files_kept_in(checkpoint)) {
    if (file == name) return path;
  }
  return "";
}

std::optional<SentencePooling> read_pooling(const std::string& pooling,
                                            const std::string& modules) {
  if (pooling.empty() || !fs::exists(pooling)) return std::nullopt;
  const Config config = read_json_file(pooling);
  const Config* prompts = given(config, "include_prompt");
  if (prompts != nullptr && !prompts->as_bool()) {
    fail_request(prompts->where(), "pooling without the prompt's tokens is not supported");
  }
  SentencePooling read{mode_in(config), false};
  if (!modules.empty() && fs::exists(modules)) read.normalise = normalises(read_json_file(modules));
  return read;
}

Config module_of(int64_t index, const char* path, const char* name) {
  return Config::Map{{"idx", index},
                     {"name", std::to_string(index)},
                     {"path", path},
                     {"type", fmt::format("sentence_transformers.models.{}", name)}};
}

// In the words of before version 6, which later ones read too.
Config pooling_config(const Config& model) {
  Config config = Config::Map{{"word_embedding_dimension", model.at("dim")}};
  for (const Mode& mode : kModes) {
    config.set(mode.before, model.at("pool") == Config(mode.ours));
  }
  config.set("include_prompt", true);
  return config;
}

}  // namespace

std::optional<SentencePooling> read_sentence_pooling(const std::string& folder) {
  return read_pooling(join(folder, kPooling), join(folder, kModules));
}

SentenceTexts read_sentence_texts(const std::string& checkpoint) {
  SentenceTexts texts;
  const auto read = [&](const char* name) {
    const std::string path = kept(checkpoint, name);
    return path.empty() ? Config::map() : read_json_file(path);
  };
  const Config own = read(kTexts);
  if (const Config* longest = given(own, "max_seq_length")) {
    texts.max_tokens = longest->as_integer();
  } else if (!kept(checkpoint, kPooling).empty()) {  // version 6 leaves it to the tokenizer
    const Config tokenizer = read("tokenizer_config.json");
    const Config* most = given(tokenizer, "model_max_length");
    // A tokenizer without a limit says 1e30.
    if (most != nullptr && most->is_integer()) texts.max_tokens = most->as_integer();
  }
  if (const Config* lower = given(own, "do_lower_case")) texts.lower_case = lower->as_bool();
  const Config prompts = read("config_sentence_transformers.json");
  if (const Config* all = given(prompts, "prompts")) {
    for (const auto& [name, text] : all->as_map()) {
      texts.prompts.emplace_back(name, text.as_string());
    }
  }
  if (const Config* name = given(prompts, "default_prompt_name")) {
    texts.default_prompt = name->as_string();
  }
  return texts;
}

std::vector<std::pair<std::string, std::string>> sentence_files(const Config& model,
                                                                const std::string& checkpoint) {
  if (model.at("type") != Config("encoder") || model.at("mlm").as_bool() ||
      model.at("classes") != Config(0) || model.at("pooler").as_bool()) {
    return {};
  }
  const bool normalise = model.at("normalise").as_bool();
  const std::string& pool = model.at("pool").as_string();
  const std::string pooling = kept(checkpoint, kPooling);
  if (pooling.empty() && pool == "cls" && !normalise) return {};
  if (const auto had = read_pooling(pooling, kept(checkpoint, kModules))) {
    if (had->pool == pool && had->normalise == normalise) return {};
  }
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const char* name, const Config& content) {
    files.emplace_back(name, content.to_json(2) + "\n");
  };
  Config modules =
      Config::List{module_of(0, "", "Transformer"), module_of(1, "1_Pooling", "Pooling")};
  if (normalise) modules.append(module_of(2, "2_Normalize", "Normalize"));
  add(kModules, modules);
  add(kPooling, pooling_config(model));
  if (kept(checkpoint, kTexts).empty()) {
    add(kTexts, Config::Map{{"max_seq_length", model.at("context")}, {"do_lower_case", false}});
  }
  return files;
}

}  // namespace heed::recipes::hf
