#include "recipes/engine/schema.h"

#include <string>
#include <utility>
#include <vector>

#include "data/registry.h"
#include "nn/registry.h"
#include "recipes/engine/recipe.h"
#include "recipes/engine/task.h"

namespace heed::recipes {
namespace {

struct Choice {
  std::string name;
  std::string summary;
  Config schema;
};

/// The entries that a registry's name in a schema stands for.
std::vector<Choice> choices_of(const std::string& registry) {
  std::vector<Choice> choices;
  if (registry == "tasks") {
    for (const TaskEntry& entry : task_registry()) {
      choices.push_back({entry.name, entry.summary, entry.schema()});
    }
  } else if (registry == "datasets") {
    for (const data::DatasetEntry& entry : data::dataset_registry()) {
      choices.push_back({entry.name, entry.summary, entry.schema()});
    }
  } else {
    for (const nn::ModuleEntry& entry : nn::module_registry()) {
      if (registry != entry.kind + "s") continue;
      choices.push_back({entry.name, entry.summary, entry.schema()});
    }
  }
  HEED_CHECK(!choices.empty(), "schema: no registry is called '{}'", registry);
  return choices;
}

/// An entry's options with the `type` that picks it.
Config with_type(const Choice& choice) {
  Config type = Config::map();
  type.set("const", choice.name);
  Config properties = Config::map();
  properties.set("type", std::move(type));
  if (const Config* own = choice.schema.find("properties")) {
    for (const auto& [name, property] : own->as_map()) properties.set(name, property);
  }
  Config result = choice.schema;
  result.set("description", choice.summary);
  result.set("properties", std::move(properties));
  return result;
}

Config reference_to(const std::string& registry, Config& definitions) {
  Config options = Config::list();
  if (registry == "attentions" || registry == "poolings") {  // slots that take a bare name as well
    Config names = Config::list();
    for (const Choice& choice : choices_of(registry)) names.append(choice.name);
    Config name = Config::map();
    name.set("enum", std::move(names));
    options.append(std::move(name));
  }
  for (const Choice& choice : choices_of(registry)) {
    const std::string name = registry + "." + choice.name;
    Config reference = Config::map();
    reference.set("$ref", "#/$defs/" + name);
    options.append(std::move(reference));
    if (definitions.has(name)) continue;
    definitions.set(name, Config::map());  // ends the recursion of registries that name themselves
    Config definition = with_type(choice);
    expand_registries(definition, definitions);
    definitions.set(name, std::move(definition));
  }
  return options;
}

}  // namespace

void expand_registries(Config& schema, Config& definitions) {
  if (schema.is_list()) {
    Config::List items = schema.as_list();
    for (Config& item : items) expand_registries(item, definitions);
    schema = Config(std::move(items));
  }
  if (!schema.is_map()) return;
  if (schema.find("required") != nullptr && schema.find("required")->is_list()) {
    schema.erase("required");  // a file may leave to its bases what the whole recipe needs
  }
  if (const Config* registry = schema.find("x-registry")) {
    schema.set("anyOf", reference_to(registry->as_string(), definitions));
    schema.erase("x-registry");
  }
  for (const std::string& key : schema.keys()) expand_registries(*schema.find(key), definitions);
}

Config recipe_schema() {
  Config definitions = Config::map();
  Config body = describe_options<Recipe>();
  expand_registries(body, definitions);

  Config extends = parse_json(R"({"description": "recipes that this one builds on",
      "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})",
                              "schema");
  Config properties = *body.find("properties");
  properties.set("extends", std::move(extends));
  Config schema = Config::map();
  schema.set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.set("title", "heed recipe");
  schema.set("type", "object");
  schema.set("properties", std::move(properties));
  schema.set("additionalProperties", false);
  schema.set("$defs", std::move(definitions));
  return schema;
}

}  // namespace heed::recipes
