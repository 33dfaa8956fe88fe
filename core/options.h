// Options: one declaration of a struct's fields, from which come reading with checks, defaults, the
// resolved recipe, the JSON Schema and the help text.
//
//   struct MlpOptions {
//     int64_t hidden = 0;
//     std::string activation = "gelu";
//     void options(Options& o) {
//       o.field("hidden", hidden, "width of the hidden layer; 0 means 4 x width", {.min = 0});
//       o.field("activation", activation, "nonlinearity", {.one_of = {"gelu", "relu", "silu"}});
//     }
//   };
//
//   MlpOptions m = read_options<MlpOptions>(config, "mlp");   // unknown keys, types, ranges
//   checked
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"

namespace heed {

/// What a field's value must obey beyond its type.
struct Rule {
  std::optional<double> min;             ///< value >= min
  std::optional<double> max;             ///< value <= max
  std::optional<double> above;           ///< value > above
  std::optional<double> below;           ///< value < below
  std::vector<std::string> one_of = {};  ///< the strings allowed
  bool required = false;                 ///< must be given
  std::string registry = {};  ///< names an entry of this registry ("attentions"): its `type`
                              ///< picks the entry, the other keys are that entry's options
};

class Options;

template <class T>
concept HasOptions = requires(T value, Options& options) {
  value.options(options);
};

/// The visitor that an options() member hands its fields to. Three kinds exist: one reads a Config
/// into the fields, one writes the fields into a Config, one writes their JSON Schema.
class Options {
 public:
  virtual ~Options() = default;

  template <class T>
  void field(const char* name, T& value, const char* doc, const Rule& rule = {}) {
    if constexpr (HasOptions<T>) {
      const bool inside = enter(name, doc);
      if (inside) {
        value.options(*this);
        leave();
      }
    } else {
      visit(name, value, doc, rule);
    }
  }

  /// A whole-struct rule, checked after the fields are read: `message` is the RequestError's text,
  /// with the place of the named field (or of the map).
  virtual void check(bool holds, const char* field, const std::string& message) = 0;

  virtual void visit(const char* name, bool& value, const char* doc, const Rule& rule) = 0;
  virtual void visit(const char* name, int64_t& value, const char* doc, const Rule& rule) = 0;
  virtual void visit(const char* name, double& value, const char* doc, const Rule& rule) = 0;
  virtual void visit(const char* name, std::string& value, const char* doc, const Rule& rule) = 0;
  virtual void visit(const char* name, std::vector<int64_t>& value, const char* doc,
                     const Rule& rule) = 0;
  virtual void visit(const char* name, std::vector<double>& value, const char* doc,
                     const Rule& rule) = 0;
  virtual void visit(const char* name, std::vector<std::string>& value, const char* doc,
                     const Rule& rule) = 0;
  virtual void visit(const char* name, std::optional<int64_t>& value, const char* doc,
                     const Rule& rule) = 0;
  virtual void visit(const char* name, std::optional<double>& value, const char* doc,
                     const Rule& rule) = 0;
  /// Any tree: read as it stands by whoever the rule's registry names.
  virtual void visit(const char* name, Config& value, const char* doc, const Rule& rule) = 0;

  /// A list of structs, each with options().
  template <HasOptions T>
  void list(const char* name, std::vector<T>& values, const char* doc) {
    const int64_t count = enter_list(name, doc, static_cast<int64_t>(values.size()));
    if (count < 0) return;
    values.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      enter_item(i);
      values[static_cast<size_t>(i)].options(*this);
      leave();
    }
    if (describes() && count == 0) {
      T sample{};
      enter_item(0);
      sample.options(*this);
      leave();
    }
    leave_list();
  }

 protected:
  /// Steps into a nested map; false when its fields are not to be visited.
  virtual bool enter(const char* name, const char* doc) = 0;
  virtual void leave() = 0;
  virtual int64_t enter_list(const char* name, const char* doc, int64_t count) = 0;
  virtual void enter_item(int64_t index) = 0;
  virtual void leave_list() = 0;
  virtual bool describes() const { return false; }
};

namespace detail {
void read_fields(const Config& config, const std::string& what,
                 const std::vector<std::string>& ignore,
                 const std::function<void(Options&)>& fields);
Config write_fields(const std::function<void(Options&)>& fields);
Config describe_fields(const std::function<void(Options&)>& fields);
}  // namespace detail

/// Reads a map into a fresh T. Unknown keys (with "did you mean"), wrong types and broken rules are
/// RequestErrors with file:line:column. `what` names the thing in messages ("model gpt"); keys in
/// `ignore` are known to the caller ("type").
template <HasOptions T>
T read_options(const Config& config, const std::string& what,
               const std::vector<std::string>& ignore = {"type"}) {
  T value{};
  detail::read_fields(config, what, ignore, [&](Options& o) { value.options(o); });
  return value;
}

/// The fields' values as a map.
template <HasOptions T>
Config write_options(const T& value) {
  T copy = value;
  return detail::write_fields([&](Options& o) { copy.options(o); });
}

/// JSON Schema of a T ("type": "object", properties with type, default, description, limits).
template <HasOptions T>
Config describe_options() {
  T value{};
  return detail::describe_fields([&](Options& o) { value.options(o); });
}

}  // namespace heed
