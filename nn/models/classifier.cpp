#include "nn/models/classifier.h"

#include "nn/registry.h"

namespace heed::nn {
namespace {

const char* name_of(ClassifierInput::Kind kind) {
  return kind == ClassifierInput::Kind::images ? "images" : "tokens";
}

int64_t given(const Config& config, const char* key) {
  const Config* value = config.find(key);
  return value == nullptr || value->is_null() ? 0 : value->as_integer();
}

// The data's number where the config has none; one smaller than it is refused, and any other one
// too when the two must be equal.
void settle(Config& config, const std::string& model, const char* key, int64_t data, bool equal) {
  if (data <= 0) return;
  const int64_t own = given(config, key);
  if (own == 0) {
    config.set(key, data);
  } else if (own < data || (equal && own != data)) {
    fail_request(config.at(key).where(),
                 fmt::format("model {}: {} is {}, but the data has {}", model, key, own, data));
  }
}

}  // namespace

std::unique_ptr<Classifier> make_classifier(const Config& config, int64_t classes,
                                            const ClassifierInput& input) {
  const Config* type = config.is_null() ? nullptr : config.find("type");
  if (type == nullptr) fail_request(config.where(), "a classifier's config needs a `type`");
  const ModuleEntry& entry = find_module(type->as_string(), "model", type->where());
  Config own = config;
  settle(own, entry.name, "classes", classes, false);
  settle(own, entry.name, "height", input.height, true);
  settle(own, entry.name, "width", input.width, true);
  settle(own, entry.name, "channels", input.channels, true);
  settle(own, entry.name, "vocab", input.vocab, false);
  if (input.context > 0 && given(own, "context") == 0) own.set("context", input.context);
  const bool known = input.height > 0 || input.vocab > 0;
  if (known &&
      entry.inputs.front() != (input.kind == ClassifierInput::Kind::images ? "x" : "ids")) {
    fail_request(type->where(),
                 fmt::format("model '{}' does not classify {}", entry.name, name_of(input.kind)));
  }
  std::unique_ptr<Module> made = entry.make(own);
  auto* model = dynamic_cast<Classifier*>(made.get());
  if (model == nullptr) {
    fail_request(type->where(), "model '" + entry.name + "' is not a classifier");
  }
  made.release();
  return std::unique_ptr<Classifier>(model);
}

}  // namespace heed::nn
