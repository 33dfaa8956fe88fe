#include <algorithm>
#include <map>

#include "data/chat/arguments.h"
#include "data/chat/builtins.h"
#include "data/chat/text.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

// str's methods.
using Method = Value (*)(const std::string&, const Arguments&);

bool begins_or_ends(const std::string& text, const Value& with, bool begins) {
  if (with.is_tuple()) {
    return std::any_of(with.items().begin(), with.items().end(),
                       [&](const Value& one) { return begins_or_ends(text, one, begins); });
  }
  const std::string& part = text_of(with, "what a text begins or ends with");
  return begins ? text.starts_with(part) : text.ends_with(part);
}

bool all_of(const std::string& text, bool (*holds)(int32_t)) {
  bool all = !text.empty();
  for_each_code_point(text, [&](int32_t c, std::string_view) { all = all && holds(c); });
  return all;
}

int64_t places_before(const std::string& text, size_t at) {
  return at == std::string::npos ? -1 : length_of(Value(text.substr(0, at)));
}

int64_t count_of(const std::string& text, const std::string& part) {
  if (part.empty()) return length_of(Value(text)) + 1;
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

const std::map<std::string, Method>& text_methods() {
  static const std::map<std::string, Method> all = {
      {"capitalize", [](const std::string& t, const Arguments&) { return Value(capitalized(t)); }},
      {"count",
       [](const std::string& t, const Arguments& a) {
         return Value(count_of(t, text_of(needed(a, 0, "sub"), "a part")));
       }},
      {"endswith",
       [](const std::string& t, const Arguments& a) {
         return Value(begins_or_ends(t, needed(a, 0, "suffix"), false));
       }},
      {"find",
       [](const std::string& t, const Arguments& a) {
         return Value(places_before(t, t.find(text_of(needed(a, 0, "sub"), "a part"))));
       }},
      {"isalpha",
       [](const std::string& t, const Arguments&) { return Value(all_of(t, is_letter)); }},
      {"isdigit",
       [](const std::string& t, const Arguments&) {
         return Value(all_of(t, [](int32_t c) { return char_class(c) == CharClass::number; }));
       }},
      {"isspace",
       [](const std::string& t, const Arguments&) { return Value(all_of(t, is_space)); }},
      {"join",
       [](const std::string& t, const Arguments& a) {
         const Values items = iterate(needed(a, 0, "iterable"));
         for (const Value& item : items) text_of(item, "what is joined");
         return Value(joined(items, t));
       }},
      {"lower", [](const std::string& t, const Arguments&) { return Value(lower_case(t)); }},
      {"lstrip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, argument_or(a, 0, "chars", Value()), true, false));
       }},
      {"removeprefix",
       [](const std::string& t, const Arguments& a) {
         const std::string& part = text_of(needed(a, 0, "prefix"), "a prefix");
         return Value(t.starts_with(part) ? t.substr(part.size()) : t);
       }},
      {"removesuffix",
       [](const std::string& t, const Arguments& a) {
         const std::string& part = text_of(needed(a, 0, "suffix"), "a suffix");
         return Value(t.ends_with(part) ? t.substr(0, t.size() - part.size()) : t);
       }},
      {"replace",
       [](const std::string& t, const Arguments& a) {
         return Value(replaced(t, text_of(needed(a, 0, "old"), "what is replaced"),
                               text_of(needed(a, 1, "new"), "a replacement"),
                               argument_or(a, 2, "count", -1).integer("a count")));
       }},
      {"rfind",
       [](const std::string& t, const Arguments& a) {
         return Value(places_before(t, t.rfind(text_of(needed(a, 0, "sub"), "a part"))));
       }},
      {"rsplit",
       [](const std::string& t, const Arguments& a) {
         return split(t, argument_or(a, 0, "sep", Value()),
                      argument_or(a, 1, "maxsplit", -1).integer("maxsplit"), true);
       }},
      {"rstrip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, argument_or(a, 0, "chars", Value()), false, true));
       }},
      {"split",
       [](const std::string& t, const Arguments& a) {
         return split(t, argument_or(a, 0, "sep", Value()),
                      argument_or(a, 1, "maxsplit", -1).integer("maxsplit"), false);
       }},
      {"splitlines", [](const std::string& t, const Arguments&) { return split_lines(t); }},
      {"startswith",
       [](const std::string& t, const Arguments& a) {
         return Value(begins_or_ends(t, needed(a, 0, "prefix"), true));
       }},
      {"strip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, argument_or(a, 0, "chars", Value()), true, true));
       }},
      {"title", [](const std::string& t, const Arguments&) { return Value(titled(t, false)); }},
      {"upper", [](const std::string& t, const Arguments&) { return Value(upper_case(t)); }},
  };
  return all;
}

Value map_method(const Value& map, const std::string& name) {
  if (name == "items") {
    return Value::function(name, [map](const Arguments&) { return pairs_of(map); });
  }
  if (name == "keys") {
    return Value::function(name, [map](const Arguments&) { return Value::list(iterate(map)); });
  }
  if (name == "values") {
    return Value::function(name, [map](const Arguments&) {
      Values values;
      for (const auto& [key, value] : map.entries()) values.push_back(value);
      return Value::list(std::move(values));
    });
  }
  if (name == "get") {
    return Value::function(name, [map](const Arguments& a) {
      const Value* found = map.find(needed(a, 0, "key"));
      return found != nullptr ? *found : argument_or(a, 1, "default", Value());
    });
  }
  return Value::undefined(name);
}

Value list_method(const Value& list, const std::string& name) {
  if (name == "index") {
    return Value::function(name, [list](const Arguments& a) {
      const auto found = std::find(list.items().begin(), list.items().end(), needed(a, 0, "value"));
      if (found == list.items().end()) fault("index: the list has no such item");
      return Value(int64_t{found - list.items().begin()});
    });
  }
  if (name == "count") {
    return Value::function(name, [list](const Arguments& a) {
      return Value(
          int64_t{std::count(list.items().begin(), list.items().end(), needed(a, 0, "value"))});
    });
  }
  for (const char* changes :
       {"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"}) {
    if (name == changes) fault("a list cannot be changed ('{}')", name);
  }
  return Value::undefined(name);
}

}  // namespace

Value pairs_of(const Value& value) {
  Values items;
  if (value.is_undefined()) return Value::list({});
  if (!value.is_map()) fault("a {} has no items", value.kind());
  for (const auto& [key, own] : value.entries()) items.push_back(Value::list({key, own}, true));
  return Value::list(std::move(items));
}

Value method_of(const Value& value, const std::string& name) {
  if (value.is_map()) return map_method(value, name);
  if (value.is_list()) return list_method(value, name);
  if (!value.is_string()) return Value::undefined(name);
  const auto found = text_methods().find(name);
  if (found == text_methods().end()) return Value::undefined(name);
  return Value::function(name, [text = value.text(), method = found->second](const Arguments& a) {
    return method(text, a);
  });
}

}  // namespace heed::data::chat
