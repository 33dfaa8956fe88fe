#include "nn/models/language_model.h"

#include "nn/registry.h"

namespace heed::nn {
namespace {

void fill_in(Config& config, const char* key, int64_t value) {
  const Config* given = config.find(key);
  if (value > 0 && (given == nullptr || given->as_integer() == 0)) config.set(key, value);
}

/// Whether the config leaves its vocabulary to a preset that has as many ids or more.
bool preset_holds(const ModuleEntry& entry, const Config& config, int64_t vocab) {
  if (!config.has("preset") || config.has("vocab")) return false;
  const Config whole = entry.resolve(config);
  const Config* own = whole.find("vocab");
  return own != nullptr && own->as_integer() >= vocab;
}

}  // namespace

std::unique_ptr<LanguageModel> make_language_model(const Config& config, int64_t vocab,
                                                   int64_t context) {
  Config own = config.is_null() ? Config::map() : config;
  const Config* type = own.find("type");
  const ModuleEntry& entry =
      find_module(type ? type->as_string() : "gpt", "model", type ? type->where() : config.where());
  if (const Config* given = own.find("vocab");
      given && given->as_integer() != 0 && given->as_integer() < vocab) {
    fail_request(given->where(), fmt::format("model {}: vocab is {}, but the tokenizer has {} ids",
                                             entry.name, given->as_integer(), vocab));
  }
  if (!preset_holds(entry, own, vocab)) fill_in(own, "vocab", vocab);
  fill_in(own, "context", context);
  std::unique_ptr<Module> made = entry.make(own);
  auto* model = dynamic_cast<LanguageModel*>(made.get());
  if (model == nullptr) {
    fail_request(config.where(), "model '" + entry.name + "' is not a language model");
  }
  made.release();
  return std::unique_ptr<LanguageModel>(model);
}

}  // namespace heed::nn
