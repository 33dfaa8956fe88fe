// Config: a tree of values (null, bool, integer, number, string, list, map) with the place in the
// text that each came from. Recipes, module configurations and JSON documents are all Configs.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace heed {

class Config {
 public:
  using List = std::vector<Config>;
  using Map = std::vector<std::pair<std::string, Config>>;  // keeps the order of the text

  Config() = default;
  Config(bool value) : value_(value) {}
  Config(int value) : value_(static_cast<int64_t>(value)) {}
  Config(int64_t value) : value_(value) {}
  Config(double value) : value_(value) {}
  Config(const char* value) : value_(std::string(value)) {}
  Config(std::string value) : value_(std::move(value)) {}
  Config(List value) : value_(std::move(value)) {}
  Config(Map value) : value_(std::move(value)) {}

  static Config list() { return Config(List{}); }
  static Config map() { return Config(Map{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_list() const { return std::holds_alternative<List>(value_); }
  bool is_map() const { return std::holds_alternative<Map>(value_); }
  /// "null", "bool", "integer", "number", "string", "list" or "map".
  const char* kind() const;
  /// Kind and value for messages: "string 'abc'", "integer 3", "null", "a list".
  std::string summary() const;

  // Typed reads; a value of another kind is a RequestError with its location.
  bool as_bool() const;
  int64_t as_integer() const;
  double as_number() const;
  const std::string& as_string() const;
  const List& as_list() const;
  const Map& as_map() const;

  /// The member of a map, or null when absent (or when this is not a map).
  const Config* find(const std::string& key) const;
  Config* find(const std::string& key);
  bool has(const std::string& key) const { return find(key) != nullptr; }
  /// The member of a map; a RequestError when absent.
  const Config& at(const std::string& key) const;
  /// The names of a map's members in the order of the text; empty when this is not a map.
  std::vector<std::string> keys() const;
  /// Sets or adds a member; a null Config becomes a map first.
  Config& set(const std::string& key, Config value);
  /// Adds a member to a map without looking whether the key is there (parsers, which know).
  void add(std::string key, Config value);
  void erase(const std::string& key);
  /// Appends to a list; a null Config becomes a list first.
  void append(Config value);

  const SourceLocation& where() const { return where_; }
  Config& set_where(SourceLocation where) {
    where_ = std::move(where);
    return *this;
  }
  /// Where the key of a map's member stands (may differ from its value's place).
  const SourceLocation& key_where() const { return key_where_.line ? key_where_ : where_; }
  Config& set_key_where(SourceLocation where) {
    key_where_ = std::move(where);
    return *this;
  }

  /// Equal values; places and the order of keys do not count. 1 and 1.0 are equal, NaN equals NaN.
  bool operator==(const Config& other) const;

  /// One JSON document; `indent` < 0 puts it on one line. Numbers parse back to the same bits; NaN
  /// and infinity, which JSON lacks, become null; bytes that are not UTF-8 become U+FFFD.
  std::string to_json(int indent = -1) const;
  /// Block-style YAML that parses back to an equal value (short lists of scalars stay on one line;
  /// bytes that are not UTF-8 become U+FFFD).
  std::string to_yaml() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Map> value_;
  SourceLocation where_;
  SourceLocation key_where_;
};

/// Parses one JSON document (RFC 8259); `name` stands for the file in errors. Throws RequestError
/// with line and column. Duplicate keys are errors; nesting is limited to kMaxNesting; integers
/// beyond 64 bits become numbers.
Config parse_json(const std::string& text, const std::string& name);
Config read_json_file(const std::string& path);

/// Parses one YAML document (the scalars of YAML 1.2's core schema: null, bool, integer, number,
/// string; anything quoted is a string). Errors and every value carry `name`, line and column
/// (bytes, from 1). Duplicate keys, merge keys ("<<"), integers beyond 64 bits and tags beyond the
/// core schema's are errors; nesting is limited to kMaxNesting, what aliases expand to, to 16 MiB.
Config parse_yaml(const std::string& text, const std::string& name);
Config read_yaml_file(const std::string& path);

inline constexpr int kMaxNesting = 64;

}  // namespace heed
