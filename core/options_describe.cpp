#include <cmath>

#include "core/options_visitor.h"

namespace heed::detail {
namespace {

template <class T>
struct SchemaType;
template <>
struct SchemaType<bool> {
  static constexpr const char* kName = "boolean";
};
template <>
struct SchemaType<int64_t> {
  static constexpr const char* kName = "integer";
};
template <>
struct SchemaType<double> {
  static constexpr const char* kName = "number";
};
template <>
struct SchemaType<std::string> {
  static constexpr const char* kName = "string";
};

// Writes the fields' JSON Schema.
class Describer : public OptionsOf<Describer> {
 public:
  Describer() { open("", ""); }
  Config take() {
    close();
    return std::move(done_);
  }

  template <class T>
  void value(const char* name, T& value, const char* doc, const Rule& rule) {
    Config schema = Config::map();
    schema.set("description", doc);
    add_type(schema, value, rule);
    Config standard = to_config(value);
    if (!rule.required && !(std::is_same_v<T, Config> && standard.is_null())) {
      schema.set("default", std::move(standard));
    }
    put(name, std::move(schema), rule.required);
  }
  void check(bool, const char*, const std::string&) override {}

 protected:
  void enter(const char* name, const char* doc, const Rule& rule) override {
    open(name, doc);
    levels_.back().required_itself = rule.required;
  }
  void leave() override { close(); }
  Items enter_list(const char* name, const char* doc, size_t*) override {
    lists_.push_back({name, doc});
    return Items::sample;
  }
  void enter_item() override { open("", ""); }
  void leave_list() override {
    Config schema = Config::map();
    schema.set("description", lists_.back().doc);
    schema.set("type", "array");
    schema.set("items", std::move(done_));
    const std::string name = lists_.back().name;
    lists_.pop_back();
    put(name, std::move(schema), false);
  }

 private:
  struct Level {
    std::string name;  // empty for an item of a list and for the whole
    std::string doc;
    Config properties = Config::map();
    Config required = Config::list();
    bool required_itself = false;
  };
  struct List {
    std::string name;
    std::string doc;
  };

  void open(const std::string& name, const std::string& doc) {
    levels_.push_back({name, doc, Config::map(), Config::list(), false});
  }

  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    Config schema = Config::map();
    if (!level.doc.empty()) schema.set("description", level.doc);
    schema.set("type", "object");
    schema.set("properties", std::move(level.properties));
    if (!level.required.as_list().empty()) schema.set("required", std::move(level.required));
    schema.set("additionalProperties", false);
    if (level.name.empty()) {
      done_ = std::move(schema);
    } else {
      put(level.name, std::move(schema), level.required_itself);
    }
  }

  void put(const std::string& name, Config schema, bool required) {
    levels_.back().properties.set(name, std::move(schema));
    if (required) levels_.back().required.append(name);
  }

  template <class T>
  static void add_type(Config& schema, const T&, const Rule& rule) {
    schema.set("type", SchemaType<T>::kName);
    add_limits(schema, rule);
  }
  template <class T>
  static void add_type(Config& schema, const std::optional<T>&, const Rule& rule) {
    schema.set("type", Config(Config::List{SchemaType<T>::kName, "null"}));
    add_limits(schema, rule);
    if (Config* allowed = schema.find("enum")) allowed->append(Config());
  }
  template <class T>
  static void add_type(Config& schema, const std::vector<T>&, const Rule& rule) {
    Config items = Config::map();
    add_type(items, T{}, rule);
    schema.set("type", "array");
    schema.set("items", std::move(items));
  }
  static void add_type(Config& schema, const Config&, const Rule& rule) {
    if (rule.registry.empty()) return;  // any value
    schema.set("type", "object");
    schema.set("x-registry", rule.registry);
  }

  static void add_limits(Config& schema, const Rule& rule) {
    const auto set = [&](const char* key, const std::optional<double>& limit) {
      if (!limit) return;
      const bool whole = *limit == std::trunc(*limit) && std::abs(*limit) < 1e15;
      schema.set(key, whole ? Config(static_cast<int64_t>(*limit)) : Config(*limit));
    };
    set("minimum", rule.min);
    set("maximum", rule.max);
    set("exclusiveMinimum", rule.above);
    set("exclusiveMaximum", rule.below);
    if (!rule.one_of.empty()) schema.set("enum", to_config(rule.one_of));
  }

  std::vector<Level> levels_;
  std::vector<List> lists_;
  Config done_;
};

}  // namespace

Config describe_fields(const std::function<void(Options&)>& fields) {
  Describer describer;
  fields(describer);
  return describer.take();
}

}  // namespace heed::detail
