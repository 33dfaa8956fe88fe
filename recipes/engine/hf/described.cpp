#include "recipes/engine/hf/described.h"

#include <algorithm>

#include "nn/registry.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/limits.h"

namespace heed::recipes::hf {
namespace {

// Our own part of the file: a `model` section with every default.
Config own_model(const Config& own) {
  const Config& model = own.at("model");
  check_limits(model, "heed.model.");
  return nn::find_module(model.at("type").as_string(), "model", model.where()).resolve(model);
}

// "key: 3 here, 4 there" of the options that differ.
std::string difference(const Config& ours, const Config& theirs) {
  std::vector<std::string> all;
  for (const auto& [key, value] : ours.as_map()) {
    const Config* other = theirs.find(key);
    if (other != nullptr && *other == value) continue;
    all.push_back(fmt::format("{}: {} and {}", key, value.to_json(),
                              other == nullptr ? "nothing" : other->to_json()));
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

// Encoders come with and without a pooler under one name.
void look_for_pooler(const SafetensorsFile& file, Config& model) {
  const Config* pooler = model.find("pooler");
  const Config* classes = model.find("classes");
  if (pooler == nullptr || !pooler->as_bool() || classes->as_integer() > 0) return;
  const bool there = std::any_of(file.tensors.begin(), file.tensors.end(), [](const auto& entry) {
    return entry.first.ends_with("pooler.dense.weight");
  });
  if (!there) model.set("pooler", false);
}

}  // namespace

Described describe_config(const Config& config, const SafetensorsFile& file) {
  Described described;
  const Config* own = config.find(kOwn);
  const Config* type = config.find("model_type");
  if (type != nullptr && type->is_string() && type->as_string() == kOwnType) {
    described.model_type = kOwnType;
    if (own == nullptr) {
      fail_request(type->where(), "a model of type 'heed' has its model under 'heed'");
    }
    const Config& names = own->at("names");
    described.family = find_family(names.as_string());
    if (described.family == nullptr) {
      fail_request(names.where(), fmt::format("no family '{}'", names.as_string()));
    }
    described.model = own_model(*own);
    return described;
  }
  described.family = &family_of(config);
  described.model_type = described.family->model_type;
  described.architecture = &architecture_of(*described.family, config);
  described.model = read_model(*described.family, config);
  look_for_pooler(file, described.model);
  if (own == nullptr) return described;
  Config model = own_model(*own);
  Config meaning = meaning_of(model);
  const Config theirs = meaning_of(described.model);
  if (const Config* hidden = meaning.find("hidden"); hidden != nullptr && *hidden == Config(0)) {
    meaning.set("hidden", theirs.at("hidden"));
  }
  if (!(meaning == theirs)) {
    fail_request(own->key_where(),
                 fmt::format("'heed.model' does not say what the other keys say: {}",
                             difference(meaning, theirs)));
  }
  described.model = model;
  return described;
}

}  // namespace heed::recipes::hf
