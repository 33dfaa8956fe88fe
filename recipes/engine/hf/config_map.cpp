#include "recipes/engine/hf/config_map.h"

#include <algorithm>
#include <array>

#include "nn/layers/rotary.h"
#include "nn/registry.h"
#include "recipes/engine/hf/attention_layers.h"
#include "recipes/engine/hf/limits.h"

namespace heed::recipes::hf {
namespace {

// Keys of every config.json that change nothing that a model computes from tokens or pixels.
constexpr std::array kCarried = {"_attn_implementation",
                                 "_commit_hash",
                                 "_name_or_path",
                                 "architectures",
                                 "attn_implementation",
                                 "auto_map",
                                 "begin_suppress_tokens",
                                 "bos_token_id",
                                 "cls_token_id",
                                 "dtype",
                                 "eos_token_id",
                                 "finetuning_task",
                                 "gradient_checkpointing",
                                 "heed",
                                 "id2label",
                                 "label2id",
                                 "language",
                                 "mask_token_id",
                                 "max_length",
                                 "model_type",
                                 "num_labels",
                                 "output_attentions",
                                 "output_hidden_states",
                                 "output_past",
                                 "pad_token_id",
                                 "problem_type",
                                 "return_dict",
                                 "sep_token_id",
                                 "task_specific_params",
                                 "tokenizer_class",
                                 "torch_dtype",
                                 "torchscript",
                                 "transformers_version",
                                 "unk_token_id",
                                 "use_cache"};

// Keys of every config.json that must have these values.
const std::vector<Key>& fixed_keys() {
  static const std::vector<Key> keys = {
      {"add_cross_attention", "", false, {{false, Config()}}},
      {"is_decoder", "", false, {{false, Config()}}},
      {"is_encoder_decoder", "", false, {{false, Config()}}},
      {"chunk_size_feed_forward", "", 0, {{0, Config()}}},
      {"pruned_heads", "", Config::map(), {{Config::map(), Config()}}},
  };
  return keys;
}

template <class List>
bool contains(const List& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

template <class Fn>
void each_key(const Family& family, Fn&& fn) {
  for (const Key& key : fixed_keys()) fn(key);
  for (const Key& key : family.keys) fn(key);
}

// Refuses keys that no line of the tables is about. Null is no statement.
void check_known(const Family& family, const Config& config) {
  std::vector<std::string> known(kCarried.begin(), kCarried.end());
  known.insert(known.end(), family.carried.begin(), family.carried.end());
  each_key(family, [&](const Key& key) { known.push_back(key.theirs); });
  for (const Rule& rule : family.rules) {
    known.insert(known.end(), rule.theirs.begin(), rule.theirs.end());
  }
  for (const auto& [key, value] : config.as_map()) {
    if (value.is_null() || contains(known, key)) continue;
    fail_request(value.key_where(),
                 fmt::format("'{}' is not known of models of type {}, and might change what they "
                             "compute{}",
                             key, family.model_type, did_you_mean(key, known)));
  }
}

void read_key(const Key& key, const Config& config, Config& model) {
  const Config* said = given(config, key.theirs);
  if (said == nullptr && key.standard.is_null()) {
    fail_request(config.where(), fmt::format("'{}' is missing", key.theirs));
  }
  const Config& value = said == nullptr ? key.standard : *said;
  if (key.words.empty()) {
    if (said != nullptr) check_limit(value, key.theirs, key.ours);
    model.set(key.ours, value);
    return;
  }
  std::vector<std::string> known;
  for (const auto& [theirs, ours] : key.words) {
    if (theirs == value && key.ours.empty()) return;
    if (theirs == value) {
      model.set(key.ours, Config(ours).set_where(value.where()));
      return;
    }
    known.push_back(theirs.to_json());
  }
  fail_request(value.where(), fmt::format("'{}' is {}, which is not supported; known: {}",
                                          key.theirs, value.to_json(), fmt::join(known, ", ")));
}

void write_key(const Key& key, const Config& model, Config& config) {
  if (key.ours.empty()) return;
  const Config* value = model.find(key.ours);
  if (value == nullptr) {  // an optional one that is not given
    config.set(key.theirs, key.standard);
    return;
  }
  for (const auto& [theirs, ours] : key.words) {
    if (ours == *value) {
      config.set(key.theirs, theirs);
      return;
    }
  }
  // (A value without a word is no config of the family; reading it back shows that.)
  config.set(key.theirs, *value);
}

int64_t label_count(const Config& config) {
  for (const char* key : {"id2label", "label2id"}) {
    const Config* labels = given(config, key);
    if (labels != nullptr) return static_cast<int64_t>(labels->as_map().size());
  }
  const Config* count = given(config, "num_labels");
  if (count == nullptr) return 2;
  check_limit(*count, "num_labels", "classes");
  return count->as_integer();
}

const nn::ModuleEntry& entry_of(const Config& model) {
  return nn::find_module(model.at("type").as_string(), "model");
}

bool is_positive(const Config* value) { return value != nullptr && value->as_integer() > 0; }

// Zeros that stand for numbers that follow from others, and what a section leaves out.
void complete(Config& model) {
  if (const Config* scaling = model.find("rope_scaling")) {
    model.set("rope_scaling",
              write_options(read_options<nn::RopeScaling>(*scaling, "rope_scaling", {})));
  }
  if (model.has("kv_heads") && !is_positive(model.find("kv_heads"))) {
    model.set("kv_heads", model.at("heads"));
  }
  if (model.has("head_dim") && !is_positive(model.find("head_dim"))) {
    model.set("head_dim", model.at("dim").as_integer() / model.at("heads").as_integer());
  }
}

bool has(const Config& model, const char* option) {
  const Config* value = model.find(option);
  return value != nullptr && value->as_bool();
}

}  // namespace

const Family& family_of(const Config& config) {
  const Config* type = config.find("model_type");
  std::vector<std::string> known;
  for (const Family& family : families()) known.push_back(family.model_type);
  if (type == nullptr || !type->is_string()) {
    fail_request(config.where(),
                 fmt::format("'model_type' is missing; known ones: {}", fmt::join(known, ", ")));
  }
  const Family* family = find_family(type->as_string());
  if (family == nullptr) {
    fail_request(
        type->where(),
        fmt::format("models of type '{}' are not supported{}; known: {}", type->as_string(),
                    did_you_mean(type->as_string(), known), fmt::join(known, ", ")));
  }
  return *family;
}

const Architecture& architecture_of(const Family& family, const Config& config) {
  const Config* names = given(config, "architectures");
  if (names == nullptr || names->as_list().empty()) return family.architectures.front();
  const Config& name = names->as_list().front();
  std::vector<std::string> known;
  for (const Architecture& architecture : family.architectures) {
    if (architecture.name == name.as_string()) return architecture;
    known.push_back(architecture.name);
  }
  fail_request(name.where(),
               fmt::format("the architecture '{}' is not supported{}; known: {}", name.as_string(),
                           did_you_mean(name.as_string(), known), fmt::join(known, ", ")));
}

Config read_model(const Family& family, const Config& config) {
  check_known(family, config);
  Config model = Config::Map{{"type", family.model}};
  for (const auto& [option, value] : family.options.as_map()) model.set(option, value);
  each_key(family, [&](const Key& key) { read_key(key, config, model); });
  for (const Rule& rule : family.rules) rule.read(config, model);
  const Architecture& architecture = architecture_of(family, config);
  for (const auto& [option, value] : architecture.options.as_map()) {
    const Config* own = model.find(option);
    const bool by_key = std::any_of(family.keys.begin(), family.keys.end(),
                                    [&](const Key& key) { return key.ours == option; });
    if (by_key && !(*own == value)) {
      fail_request(own->where(),
                   fmt::format("{} with `{}: {}` is not supported; it has {}", architecture.name,
                               option, own->to_json(), value.to_json()));
    }
    model.set(option, value);
  }
  if (architecture.classifies) model.set("classes", label_count(config));
  return entry_of(model).resolve(model);
}

const Architecture* architecture_for(const Family& family, const Config& model) {
  const Config* classes = model.find("classes");
  const bool classifies = classes != nullptr && classes->as_integer() > 0;
  for (const Architecture& architecture : family.architectures) {
    const Config::Map& options = architecture.options.as_map();
    const bool agree = std::all_of(options.begin(), options.end(), [&](const auto& option) {
      const Config* own = model.find(option.first);
      return own != nullptr && *own == option.second;
    });
    if (agree && architecture.classifies == classifies) return &architecture;
  }
  return nullptr;
}

Config write_config(const Family& family, const Config& section) {
  Config model = entry_of(section).resolve(section);
  complete(model);
  Config config = Config::map();
  const Architecture* architecture = architecture_for(family, model);
  if (architecture != nullptr) config.set("architectures", Config::List{architecture->name});
  config.set("model_type", family.model_type);
  for (const Key& key : family.keys) write_key(key, model, config);
  for (const Rule& rule : family.rules) rule.write(model, config);
  if (architecture != nullptr && architecture->classifies) {
    Config names = Config::map(), numbers = Config::map();
    for (int64_t i = 0; i < model.at("classes").as_integer(); ++i) {
      names.add(std::to_string(i), fmt::format("LABEL_{}", i));
      numbers.add(fmt::format("LABEL_{}", i), i);
    }
    config.set("id2label", names);
    config.set("label2id", numbers);
  }
  return config;
}

Config meaning_of(const Config& section) {
  Config model = entry_of(section).resolve(section);
  if (const Config* text = model.find("text"); text != nullptr && model.has("vision")) {
    Config decoder = *text;
    decoder.set("type", "gpt");
    model.set("text", meaning_of(decoder));
    model.find("vision")->erase("attention_dropout");
    return model;
  }
  complete(model);
  for (const char* option : {"preset", "checkpointing", "cache_page", "dropout",
                             "embedding_dropout", "attention_dropout", "residual_dropout",
                             "mlp_dropout", "drop_path", "init_std", "position_std", "stem_init"}) {
    model.erase(option);
  }
  const Config* classes = model.find("classes");
  if (model.has("mlm") && *classes == Config(0)) {  // of the user's choice
    model.erase("pool");
    model.erase("normalise");
  }
  Config layers = Config::list();
  for (const Config& layer : layer_attentions(model)) layers.append(layer);
  model.erase("attentions");
  model.set("attention", layers);
  if (has(model, "bias")) {  // which has all of them
    for (const char* option : {"qkv_bias", "out_bias"}) {
      if (model.has(option)) model.set(option, true);
    }
  }
  if (const Config* scaling = model.find("rope_scaling")) {
    const auto whole = read_options<nn::RopeScaling>(*scaling, "rope_scaling", {});
    nn::RopeScaling relevant = whole;
    if (whole.type != "llama3") {
      relevant = {};
      relevant.type = whole.type;
      if (whole.type == "linear") relevant.factor = whole.factor;
    }
    model.set("rope_scaling", write_options(relevant));
  }
  const Config* position = model.find("position");
  if (position != nullptr && position->as_string() != "rotary") {
    for (const char* option : {"rope_base", "rope_scaling", "rotary_dim"}) model.erase(option);
  }
  return model;
}

bool expresses(const Family& family, const Config& model) {
  if (model.at("type").as_string() != family.model) return false;
  if (architecture_for(family, entry_of(model).resolve(model)) == nullptr) return false;
  try {
    return meaning_of(read_model(family, write_config(family, model))) == meaning_of(model);
  } catch (const RequestError&) {
    return false;  // a value that the family has not
  }
}

}  // namespace heed::recipes::hf
