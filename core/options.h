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
//   MlpOptions m = read_options<MlpOptions>(config, "mlp");  // checks keys, types and ranges
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
  /// Names an entry of this registry ("attentions"): the value's `type` picks the entry, its other
  /// keys are that entry's options.
  std::string registry = {};
};

class Options;

template <class T>
concept HasOptions = requires(T value, Options& options) {
  value.options(options);
};

/// The visitor that an options() member hands its fields to. Three kinds exist: one reads a Config
/// into the fields, one writes the fields into a Config, one writes their JSON Schema.
///
/// How reading goes: an absent field keeps its default. An integer is good for a number; a number
/// is good for an integer when it is whole (1e6). Null stands for "none" in an optional field and
/// for "all defaults" in a nested struct, and is an error elsewhere. The limits of a Rule hold for
/// every element of a list.
class Options {
 public:
  virtual ~Options() = default;

  template <class T>
  void field(const char* name, T& value, const char* doc, const Rule& rule = {}) {
    if constexpr (HasOptions<T>) {
      enter(name, doc, rule);
      value.options(*this);
      leave();
    } else {
      visit(name, value, doc, rule);
    }
  }

  /// A whole-struct rule, checked once every field is read: `message` is the RequestError's text,
  /// with the place of the named field (or of the map where that is absent).
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
  virtual void visit(const char* name, std::optional<std::string>& value, const char* doc,
                     const Rule& rule) = 0;
  /// Any tree: read as it stands by whoever the rule's registry names.
  virtual void visit(const char* name, Config& value, const char* doc, const Rule& rule) = 0;

  /// A list of structs, each with options(). A list that is given replaces the default one.
  template <HasOptions T>
  void list(const char* name, std::vector<T>& values, const char* doc) {
    size_t count = values.size();
    const Items items = enter_list(name, doc, &count);
    std::vector<T> sample(items == Items::sample ? 1 : 0);
    if (items == Items::replace) values.assign(count, T{});
    if (items != Items::keep) {
      for (T& value : items == Items::sample ? sample : values) {
        enter_item();
        value.options(*this);
        leave();
      }
    }
    leave_list();
  }

 protected:
  /// Steps into a nested struct; leave() steps out again.
  virtual void enter(const char* name, const char* doc, const Rule& rule) = 0;
  virtual void leave() = 0;
  /// What becomes of a list's items: nothing, a visit, fresh ones to visit, a visit to a sample.
  enum class Items { keep, visit, replace, sample };
  /// Steps into a list of `*count` structs; sets the count of the fresh ones.
  virtual Items enter_list(const char* name, const char* doc, size_t* count) = 0;
  virtual void enter_item() = 0;
  virtual void leave_list() = 0;
};

namespace detail {
void read_fields(const Config& config, const std::string& what,
                 const std::vector<std::string>& ignore,
                 const std::function<void(Options&)>& fields);
Config write_fields(const std::function<void(Options&)>& fields);
Config describe_fields(const std::function<void(Options&)>& fields);
}  // namespace detail

/// Reads a map (null reads as an empty one) into a fresh T. Unknown keys (with "did you mean"),
/// wrong types, missing required fields and broken rules are RequestErrors with file:line:column.
/// `what` names the thing in messages ("model gpt"); keys in `ignore` are known to the caller
/// ("type").
template <HasOptions T>
T read_options(const Config& config, const std::string& what,
               const std::vector<std::string>& ignore = {"type"}) {
  T value{};
  detail::read_fields(config, what, ignore, [&](Options& o) { value.options(o); });
  return value;
}

/// The fields' values as a map, in the order of the declaration; reads back to an equal struct.
template <HasOptions T>
Config write_options(const T& value) {
  T copy = value;
  return detail::write_fields([&](Options& o) { copy.options(o); });
}

/// JSON Schema (draft 2020-12) of a T: "type": "object", "additionalProperties": false, properties
/// with type, description, default and limits. A field that names a registry's entry is
/// {"type": "object", "x-registry": name}, for the caller to fill in.
template <HasOptions T>
Config describe_options() {
  T value{};
  return detail::describe_fields([&](Options& o) { value.options(o); });
}

}  // namespace heed
