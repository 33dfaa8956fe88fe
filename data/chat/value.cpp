#include "data/chat/value.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "data/unicode.h"

namespace heed::data::chat {
namespace {

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  const bool doubled = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = doubled ? '"' : '\'';
  std::string made(1, quote);
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    if (c == '\\' || c == quote) {
      made += '\\';
      made += static_cast<char>(c);
    } else if (c == '\n') {
      made += "\\n";
    } else if (c == '\r') {
      made += "\\r";
    } else if (c == '\t') {
      made += "\\t";
    } else if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) {
      made += fmt::format("\\x{:02x}", c);
    } else {
      made += bytes;
    }
  });
  made += quote;
  return made;
}

constexpr size_t kMostOtherKeys = 1000;  // they are looked for one by one

// Takes a value into account that a list or map is to hold.
template <class Holder>
void account(const Value& value, Holder& holder) {
  if (value.is_namespace()) fault("a namespace cannot be kept in another value");
  holder.depth = std::max(holder.depth, value.depth() + 1);
  holder.weight += value.weight();
  if (holder.depth > kMostDepth) fault("values are nested more than {} deep", kMostDepth);
  if (holder.weight > kMostValues) {
    fault("a list or dict holds too much: more than {} values, of which {} bytes of text are one",
          kMostValues, kTextWeight);
  }
}

}  // namespace

Value::Value(std::string value) : value_(std::move(value)) {
  if (text().size() > kMostText) fault("a text has more than {} bytes", kMostText);
}

Value Value::undefined(std::string name) {
  Value made;
  made.value_ = Undefined{std::move(name)};
  return made;
}

Value Value::list(Values items, bool tuple) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) account(item, *list);
  list->items = std::move(items);
  list->tuple = tuple;
  Value made;
  made.value_ = std::shared_ptr<const List>(std::move(list));
  return made;
}

Value Value::map(std::vector<std::pair<Value, Value>> entries) {
  auto map = std::make_shared<Map>();
  map->entries.reserve(entries.size());  // so that the texts below stay where they are
  std::unordered_map<std::string_view, size_t> texts;
  std::vector<size_t> others;  // keys that are no texts: equal ones may be of several kinds
  for (auto& [key, value] : entries) {
    if (key.is_list() || key.is_map() || key.is_namespace()) {
      fault("a {} cannot be a key", key.kind());
    }
    account(key, *map);
    account(value, *map);
    const size_t next = map->entries.size();
    size_t at = next;
    if (key.is_string()) {
      const auto known = texts.find(key.text());
      if (known != texts.end()) at = known->second;
    } else {
      for (const size_t other : others) {
        if (map->entries[other].first == key) at = other;
      }
    }
    if (at < next) {
      map->entries[at].second = std::move(value);
      continue;
    }
    map->entries.emplace_back(std::move(key), std::move(value));
    const Value& own = map->entries.back().first;
    if (own.is_string()) {
      texts.emplace(own.text(), next);
    } else if (others.push_back(next); others.size() > kMostOtherKeys) {
      fault("a dict has more than {} keys that are no strings", kMostOtherKeys);
    }
  }
  Value made;
  made.value_ = std::shared_ptr<const Map>(std::move(map));
  return made;
}

Value Value::make_namespace(std::vector<std::pair<std::string, Value>> entries) {
  List all;
  for (const auto& [name, value] : entries) account(value, all);
  Value made;
  made.value_ = std::make_shared<Namespace>(Namespace{std::move(entries)});
  return made;
}

Value Value::function(std::string name, std::function<Value(const Arguments&)> call) {
  Value made;
  made.value_ = std::shared_ptr<const Function>(
      std::make_shared<Function>(Function{std::move(name), std::move(call)}));
  return made;
}

Value Value::from(const Config& config) {
  if (config.is_bool()) return config.as_bool();
  if (config.is_integer()) return config.as_integer();
  if (config.is_number()) return config.as_number();
  if (config.is_string()) return config.as_string();
  if (config.is_list()) {
    Values items;
    for (const Config& item : config.as_list()) items.push_back(from(item));
    return list(std::move(items));
  }
  if (config.is_map()) {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [key, value] : config.as_map()) entries.emplace_back(Value(key), from(value));
    return map(std::move(entries));
  }
  return {};
}

int64_t Value::integer(const char* what) const {
  if (is_bool()) return std::get<bool>(value_) ? 1 : 0;
  if (!is_integer()) fault("{} must be an integer, not a {}", what, kind());
  return std::get<int64_t>(value_);
}

double Value::number() const {
  if (is_float()) return std::get<double>(value_);
  return static_cast<double>(integer("a number"));
}

bool Value::truth() const {
  if (is_none() || is_undefined()) return false;
  if (is_bool()) return std::get<bool>(value_);
  if (is_number()) return number() != 0;
  if (is_string()) return !text().empty();
  if (is_list()) return !items().empty();
  if (is_map()) return !entries().empty();
  return true;
}

const char* Value::kind() const {
  if (is_none()) return "None";
  if (is_undefined()) return "undefined";
  if (is_bool()) return "bool";
  if (is_integer()) return "integer";
  if (is_float()) return "float";
  if (is_string()) return "string";
  if (is_list()) return is_tuple() ? "tuple" : "list";
  if (is_map()) return "dict";
  return is_namespace() ? "namespace" : "function";
}

int Value::depth() const {
  if (is_list()) return std::get<std::shared_ptr<const List>>(value_)->depth;
  if (is_map()) return std::get<std::shared_ptr<const Map>>(value_)->depth;
  return 0;
}

int64_t Value::weight() const {
  if (is_list()) return std::get<std::shared_ptr<const List>>(value_)->weight;
  if (is_map()) return std::get<std::shared_ptr<const Map>>(value_)->weight;
  return is_string() ? 1 + std::ssize(text()) / kTextWeight : 1;
}

std::string Value::str() const {
  if (is_string()) return text();
  if (is_undefined()) return "";
  return repr();
}

std::string Value::repr() const {
  if (is_none()) return "None";
  if (is_undefined()) return "Undefined";
  if (is_bool()) return truth() ? "True" : "False";
  if (is_integer()) return std::to_string(std::get<int64_t>(value_));
  if (is_float()) return float_text(number());
  if (is_string()) return quoted(text());
  const auto grow = [](std::string& made, const std::string& piece) {
    made += piece;
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  };
  if (is_list()) {
    std::string made = is_tuple() ? "(" : "[";
    for (size_t i = 0; i < items().size(); ++i) {
      if (i > 0) made += ", ";
      grow(made, items()[i].repr());
    }
    if (is_tuple() && items().size() == 1) made += ',';
    made += is_tuple() ? ')' : ']';
    return made;
  }
  if (is_map()) {
    std::string made = "{";
    for (size_t i = 0; i < entries().size(); ++i) {
      if (i > 0) made += ", ";
      grow(made, entries()[i].first.repr());
      made += ": ";
      grow(made, entries()[i].second.repr());
    }
    made += '}';
    return made;
  }
  fault("a {} cannot be written out", kind());
}

const Value* Value::find(const Value& key) const {
  for (const auto& [own, value] : entries()) {
    if (own == key) return &value;
  }
  return nullptr;
}

bool Value::operator==(const Value& other) const {
  if (is_number() && other.is_number()) {
    if (is_float() || other.is_float()) return number() == other.number();
    return integer("") == other.integer("");
  }
  if (value_.index() != other.value_.index()) return false;
  if (is_string()) return text() == other.text();
  if (is_list()) return is_tuple() == other.is_tuple() && items() == other.items();
  if (is_map()) {
    if (entries().size() != other.entries().size()) return false;
    return std::all_of(entries().begin(), entries().end(), [&](const auto& entry) {
      const Value* found = other.find(entry.first);
      return found != nullptr && *found == entry.second;
    });
  }
  if (is_namespace()) return &as_namespace() == &other.as_namespace();
  if (is_function()) return &as_function() == &other.as_function();
  return true;  // None, undefined
}

int compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) {
      const double x = a.number(), y = b.number();
      return x < y ? -1 : x > y ? 1 : 0;
    }
    const int64_t x = a.integer(""), y = b.integer("");
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
    const int order = a.text().compare(b.text());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.is_list() && b.is_list() && a.is_tuple() == b.is_tuple()) {
    const size_t common = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < common; ++i) {
      if (a.items()[i] == b.items()[i]) continue;
      return compare(a.items()[i], b.items()[i]);
    }
    const size_t x = a.items().size(), y = b.items().size();
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (a.is_undefined() || b.is_undefined()) {
    fault("'{}' is undefined", a.is_undefined() ? a.undefined_name() : b.undefined_name());
  }
  fault("a {} and a {} have no order", a.kind(), b.kind());
}

Values iterate(const Value& value) {
  Values items;
  if (value.is_list()) return value.items();
  if (value.is_string()) {
    if (std::ssize(value.text()) > kMostValues) fault("a text of more than {} bytes", kMostValues);
    for_each_code_point(value.text(), [&](int32_t, std::string_view bytes) {
      items.emplace_back(std::string(bytes));
    });
    return items;
  }
  if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) items.push_back(key);
    return items;
  }
  if (value.is_undefined()) return items;
  fault("a {} has no items", value.kind());
}

bool contains(const Value& hay, const Value& needle) {
  if (hay.is_string()) {
    if (!needle.is_string()) fault("a string holds strings, not a {}", needle.kind());
    return hay.text().find(needle.text()) != std::string::npos;
  }
  if (hay.is_map()) return hay.find(needle) != nullptr;
  const Values items = iterate(hay);
  return std::find(items.begin(), items.end(), needle) != items.end();
}

}  // namespace heed::data::chat
