#include "nn/models/classifier.h"

#include "nn/registry.h"

namespace heed::nn {
namespace {

/// A kind of input, and what the models that take it call it.
struct KindName {
  const char* kind;
  const char* input;
};

KindName name_of(ClassifierInput::Kind kind) {
  switch (kind) {
    case ClassifierInput::Kind::images:
      return {"images", "x"};
    case ClassifierInput::Kind::tokens:
      return {"tokens", "ids"};
    case ClassifierInput::Kind::features:
      return {"features", "features"};
  }
  return {};
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
  settle(own, entry.name, "features", input.dim, true);
  settle(own, entry.name, "tokens", input.vectors, true);
  if (input.context > 0 && given(own, "context") == 0) own.set("context", input.context);
  const bool known = input.height > 0 || input.vocab > 0 || input.dim > 0;
  const KindName name = name_of(input.kind);
  if (known && entry.inputs.front() != name.input) {
    fail_request(type->where(),
                 fmt::format("model '{}' does not classify {}", entry.name, name.kind));
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
