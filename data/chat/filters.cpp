#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "data/chat/arguments.h"
#include "data/chat/builtins.h"
#include "data/chat/sequence_filters.h"
#include "data/chat/text.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

using Filter = Value (*)(const Value&, const Arguments&);

Value to_integer(const Value& value, const Arguments& arguments) {
  const Value otherwise = argument_or(arguments, 0, "default", 0);
  const int64_t base = argument_or(arguments, 1, "base", 10).integer("a base");
  if (value.is_float()) {
    if (!std::isfinite(value.number()) || std::abs(value.number()) > 9e18) return otherwise;
    return static_cast<int64_t>(value.number());
  }
  if (value.is_number()) return value.integer("");
  if (!value.is_string() || base < 2 || base > 36) return otherwise;
  std::string text = stripped(value.text(), Value(), true, true);
  if (text.starts_with('+')) text.erase(0, 1);
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number, static_cast<int>(base));
  if (read.ec == std::errc() && read.ptr == end && !text.empty()) return number;
  double real = 0;
  const auto as_real = std::from_chars(text.data(), end, real);
  if (as_real.ec == std::errc() && as_real.ptr == end && std::isfinite(real) &&
      std::abs(real) < 9e18 && !text.empty()) {
    return static_cast<int64_t>(real);
  }
  return otherwise;
}

Value to_float(const Value& value, const Arguments& arguments) {
  const Value otherwise = argument_or(arguments, 0, "default", 0.0);
  if (value.is_number()) return value.number();
  if (!value.is_string()) return otherwise;
  std::string text = stripped(value.text(), Value(), true, true);
  if (text.starts_with('+')) text.erase(0, 1);
  double number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end && !text.empty() ? Value(number) : otherwise;
}

Value rounded(const Value& value, const Arguments& arguments) {
  const int64_t places = argument_or(arguments, 0, "precision", 0).integer("a precision");
  const Value method = argument_or(arguments, 1, "method", "common");
  if (places > 15 || places < -15) fault("round: a precision of {}", places);
  const double scale = std::pow(10.0, static_cast<double>(places));
  const double scaled = value.number() * scale;
  if (method == Value("ceil")) return std::ceil(scaled) / scale;
  if (method == Value("floor")) return std::floor(scaled) / scale;
  return std::nearbyint(scaled) / scale;
}

// Every line but the first (and empty ones) behind `width` spaces.
Value indented(const Value& value, const Arguments& arguments) {
  const Value width = argument_or(arguments, 0, "width", 4);
  const bool first = argument_or(arguments, 1, "first", false).truth();
  const bool blank = argument_or(arguments, 2, "blank", false).truth();
  if (!width.is_string() && width.integer("a width") > 1000) fault("indent: too wide");
  const std::string by =
      width.is_string()
          ? width.text()
          : std::string(static_cast<size_t>(std::max<int64_t>(0, width.integer("a width"))), ' ');
  std::string made = first ? by : "";
  const std::string text = value.str();
  bool begins = false;
  for (const char c : text) {
    if (begins && (blank || c != '\n')) made += by;
    begins = c == '\n';
    made += c;
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  }
  if (begins && blank) made += by;
  return made;
}

Value json(const Value& value, const Arguments& arguments) {
  const bool ascii = argument_or(arguments, 0, "ensure_ascii", false).truth();
  const Value indent = argument_or(arguments, 1, "indent", Value());
  if (!argument_or(arguments, 2, "separators", Value()).is_none()) {
    fault("tojson: separators are not supported");
  }
  const bool sort = argument_or(arguments, 3, "sort_keys", false).truth();
  return to_json(value, indent.is_none() ? -1 : std::max<int64_t>(0, indent.integer("an indent")),
                 ascii, sort);
}

Value escaped(const Value& value) {
  std::string made;
  for (const char c : value.str()) {
    switch (c) {
      case '&':
        made += "&amp;";
        break;
      case '<':
        made += "&lt;";
        break;
      case '>':
        made += "&gt;";
        break;
      case '"':
        made += "&#34;";
        break;
      case '\'':
        made += "&#39;";
        break;
      default:
        made += c;
    }
  }
  return made;
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> all = {
      {"abs",
       [](const Value& v, const Arguments&) {
         return v.is_float()                ? Value(std::abs(v.number()))
                : v.integer("a number") < 0 ? arithmetic("-", 0, v)
                                            : v;
       }},
      {"capitalize", [](const Value& v, const Arguments&) { return Value(capitalized(v.str())); }},
      {"count", [](const Value& v, const Arguments&) { return Value(length_of(v)); }},
      {"default",
       [](const Value& v, const Arguments& a) {
         const bool falsy = argument_or(a, 1, "boolean", false).truth();
         return v.is_undefined() || (falsy && !v.truth()) ? argument_or(a, 0, "default_value", "")
                                                          : v;
       }},
      {"dictsort", dict_sorted},
      {"escape", [](const Value& v, const Arguments&) { return escaped(v); }},
      {"first",
       [](const Value& v, const Arguments&) {
         const Values items = iterate(v);
         return items.empty() ? Value::undefined("the first of nothing") : items.front();
       }},
      {"float", to_float},
      {"indent", indented},
      {"int", to_integer},
      {"items", [](const Value& v, const Arguments&) { return pairs_of(v); }},
      {"join",
       [](const Value& v, const Arguments& a) {
         const Value by = argument_or(a, 0, "d", "");
         const Value path = argument_or(a, 1, "attribute", Value());
         Values items = iterate(v);
         if (!path.is_none()) {
           for (Value& item : items) item = member(item, path);
         }
         return Value(joined(items, by.str()));
       }},
      {"last",
       [](const Value& v, const Arguments&) {
         const Values items = iterate(v);
         return items.empty() ? Value::undefined("the last of nothing") : items.back();
       }},
      {"length", [](const Value& v, const Arguments&) { return Value(length_of(v)); }},
      {"list", [](const Value& v, const Arguments&) { return Value::list(iterate(v)); }},
      {"lower", [](const Value& v, const Arguments&) { return Value(lower_case(v.str())); }},
      {"map", mapped},
      {"max", [](const Value& v, const Arguments&) { return extreme(v, 1); }},
      {"min", [](const Value& v, const Arguments&) { return extreme(v, -1); }},
      {"reject", [](const Value& v, const Arguments& a) { return chosen(v, a, false, false); }},
      {"rejectattr", [](const Value& v, const Arguments& a) { return chosen(v, a, false, true); }},
      {"replace",
       [](const Value& v, const Arguments& a) {
         const Value most = argument_or(a, 2, "count", -1);
         return Value(replaced(v.str(), needed(a, 0, "old").str(), needed(a, 1, "new").str(),
                               most.is_none() ? -1 : most.integer("a count")));
       }},
      {"reverse", [](const Value& v, const Arguments&) { return reversed(v); }},
      {"round", rounded},
      {"safe", [](const Value& v, const Arguments&) { return Value(v.str()); }},
      {"select", [](const Value& v, const Arguments& a) { return chosen(v, a, true, false); }},
      {"selectattr", [](const Value& v, const Arguments& a) { return chosen(v, a, true, true); }},
      {"sort", sorted},
      {"string", [](const Value& v, const Arguments&) { return Value(v.str()); }},
      {"sum", sum},
      {"title", [](const Value& v, const Arguments&) { return Value(titled(v.str(), true)); }},
      {"tojson", json},
      {"trim",
       [](const Value& v, const Arguments& a) {
         return Value(stripped(v.str(), argument_or(a, 0, "chars", Value()), true, true));
       }},
      {"unique", unique},
      {"upper", [](const Value& v, const Arguments&) { return Value(upper_case(v.str())); }},
  };
  return all;
}

// Refuses an argument of a name that a filter does not have; map() and its like pass theirs on.
void check_names(const std::string& filter, const Arguments& arguments) {
  static const std::map<std::string, std::vector<std::string>> names = {
      {"default", {"default_value", "boolean"}},
      {"dictsort", {"case_sensitive", "by", "reverse"}},
      {"float", {"default"}},
      {"indent", {"width", "first", "blank"}},
      {"int", {"default", "base"}},
      {"join", {"d", "attribute"}},
      {"map", {"attribute", "default"}},
      {"replace", {"old", "new", "count"}},
      {"round", {"precision", "method"}},
      {"sort", {"reverse", "case_sensitive", "attribute"}},
      {"sum", {"attribute", "start"}},
      {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}},
      {"trim", {"chars"}},
      {"unique", {"case_sensitive"}},
  };
  const auto known = names.find(filter);
  for (const auto& [name, value] : arguments.named) {
    if (known == names.end() ||
        std::find(known->second.begin(), known->second.end(), name) == known->second.end()) {
      fault("the filter '{}' takes no argument '{}'", filter, name);
    }
  }
}

// Other names of the same.
std::string filter_name(const std::string& name) {
  if (name == "d") return "default";
  return name == "e" ? "escape" : name;
}

}  // namespace

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = filters().find(filter_name(name));
  if (found == filters().end()) fail_unknown("filter", name, filters());
  check_names(found->first, arguments);
  return found->second(value, arguments);
}

}  // namespace heed::data::chat
