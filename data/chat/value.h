// Value: what the expressions of a chat template are about: Python's None, bool, int, float, str,
// list, tuple and dict, as Jinja has them, with "undefined" for names and members that are not
// there. Lists and maps never change; a namespace does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/config.h"

namespace heed::data::chat {

/// What a template does wrong; the interpreter adds the place.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault(fmt::format(format, std::forward<Args>(args)...));
}

class Value;
using Values = std::vector<Value>;

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Value {
 public:
  struct None {};
  struct Undefined {
    std::string name;  ///< of what is not there, for messages
  };
  struct List {
    Values items;
    bool tuple = false;
    int depth = 1;
    int64_t weight = 1;
  };
  struct Map {
    std::vector<std::pair<Value, Value>> entries;  ///< in order
    int depth = 1;
    int64_t weight = 1;
  };
  struct Namespace {
    std::vector<std::pair<std::string, Value>> entries;
  };
  struct Function {
    std::string name;
    std::function<Value(const Arguments&)> call;
  };

  Value() : value_(None{}) {}
  Value(bool value) : value_(value) {}
  Value(int value) : value_(int64_t{value}) {}
  Value(int64_t value) : value_(value) {}
  Value(double value) : value_(value) {}
  Value(const char* value) : value_(std::string(value)) {}
  Value(std::string value);

  static Value undefined(std::string name);
  /// Fault when they are nested too deeply, too large, or hold a namespace.
  static Value list(Values items, bool tuple = false);
  static Value map(std::vector<std::pair<Value, Value>> entries);
  static Value make_namespace(std::vector<std::pair<std::string, Value>> entries);
  static Value function(std::string name, std::function<Value(const Arguments&)> call);
  /// JSON's values.
  static Value from(const Config& config);

  bool is_none() const { return std::holds_alternative<None>(value_); }
  bool is_undefined() const { return std::holds_alternative<Undefined>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_float() const { return std::holds_alternative<double>(value_); }
  /// Also a bool, as in Python.
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_list() const { return std::holds_alternative<std::shared_ptr<const List>>(value_); }
  bool is_map() const { return std::holds_alternative<std::shared_ptr<const Map>>(value_); }
  bool is_namespace() const { return std::holds_alternative<std::shared_ptr<Namespace>>(value_); }
  bool is_function() const {
    return std::holds_alternative<std::shared_ptr<const Function>>(value_);
  }

  // Of what it is.
  const std::string& text() const { return std::get<std::string>(value_); }
  const Values& items() const { return std::get<std::shared_ptr<const List>>(value_)->items; }
  bool is_tuple() const {
    return is_list() && std::get<std::shared_ptr<const List>>(value_)->tuple;
  }
  const std::vector<std::pair<Value, Value>>& entries() const {
    return std::get<std::shared_ptr<const Map>>(value_)->entries;
  }
  Namespace& as_namespace() const { return *std::get<std::shared_ptr<Namespace>>(value_); }
  const Function& as_function() const { return *std::get<std::shared_ptr<const Function>>(value_); }
  const std::string& undefined_name() const { return std::get<Undefined>(value_).name; }

  /// Of a bool or an integer; Fault for another value, called `what`.
  int64_t integer(const char* what) const;
  /// Of any number.
  double number() const;
  /// What `if` makes of it.
  bool truth() const;
  /// Python's str(): what is written out.
  std::string str() const;
  /// Python's repr().
  std::string repr() const;
  /// "string", "list", "undefined", ...
  const char* kind() const;
  /// Levels of lists and maps, and values on all of them, as often as they are reached, long texts
  /// for several: what a copy takes.
  int depth() const;
  int64_t weight() const;
  /// The member of a map, or nullptr.
  const Value* find(const Value& key) const;

  bool operator==(const Value& other) const;

 private:
  std::variant<None, Undefined, bool, int64_t, double, std::string, std::shared_ptr<const List>,
               std::shared_ptr<const Map>, std::shared_ptr<Namespace>,
               std::shared_ptr<const Function>>
      value_;
};

/// Bytes that a text may have while a template runs.
inline constexpr size_t kMostText = size_t{1} << 22;
/// Nesting of lists and maps, and the values in one.
inline constexpr int kMostDepth = 100;
inline constexpr int64_t kMostValues = int64_t{1} << 20;
/// Bytes of a text that count as one more value.
inline constexpr int64_t kTextWeight = 16;

/// -1, 0 or 1; Fault when Python would not order them.
int compare(const Value& a, const Value& b);
/// The items of a list, the characters of a string, the keys of a map, nothing of undefined; Fault
/// for the rest.
Values iterate(const Value& value);
/// Python's `needle in hay`.
bool contains(const Value& hay, const Value& needle);
/// Binary + - * / // % ** on values, as Python's.
Value arithmetic(const std::string& op, const Value& a, const Value& b);
/// json.dumps(); indent < 0: on one line.
std::string to_json(const Value& value, int64_t indent, bool ascii, bool sort_keys);

}  // namespace heed::data::chat
