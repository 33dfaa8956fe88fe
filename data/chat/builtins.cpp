#include "data/chat/builtins.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "data/unicode.h"

namespace heed::data::chat {
namespace {

using Filter = Value (*)(const Value&, const Arguments&);
using Test = bool (*)(const Value&, const Arguments&);

// The argument of a name or place, or nothing.
const Value* argument(const Arguments& arguments, size_t place, const char* name) {
  for (const auto& [own, value] : arguments.named) {
    if (own == name) return &value;
  }
  return place < arguments.positional.size() ? &arguments.positional[place] : nullptr;
}

const Value& needed(const Arguments& arguments, size_t place, const char* name) {
  const Value* value = argument(arguments, place, name);
  if (value == nullptr) fault("the argument '{}' is missing", name);
  return *value;
}

Value argument_or(const Arguments& arguments, size_t place, const char* name, Value otherwise) {
  const Value* value = argument(arguments, place, name);
  return value == nullptr ? std::move(otherwise) : *value;
}

const std::string& text_of(const Value& value, const char* what) {
  if (!value.is_string()) fault("{} must be a string, not a {}", what, value.kind());
  return value.text();
}

std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> all;
  for_each_code_point(text, [&](int32_t, std::string_view bytes) { all.emplace_back(bytes); });
  return all;
}

int64_t length_of(const Value& value) {
  if (value.is_string()) {
    int64_t count = 0;
    for_each_code_point(value.text(), [&](int32_t, std::string_view) { ++count; });
    return count;
  }
  if (value.is_list()) return std::ssize(value.items());
  if (value.is_map()) return std::ssize(value.entries());
  if (value.is_undefined()) return 0;
  fault("a {} has no length", value.kind());
}

bool is_space(int32_t c) {
  return char_class(c) == CharClass::space || (c >= 0x1C && c <= 0x1F);  // as Python's str.strip()
}

// Strips characters of `what`, or white space where it is None.
std::string stripped(const std::string& text, const Value& what, bool left, bool right) {
  const std::vector<std::string> all = characters(text);
  const std::optional<std::vector<std::string>> set =
      what.is_none() ? std::optional<std::vector<std::string>>()
                     : characters(text_of(what, "the characters to strip"));
  const auto goes = [&](const std::string& c) {
    if (!set) return is_space(code_point_at(c, 0).value);
    return std::find(set->begin(), set->end(), c) != set->end();
  };
  size_t begin = 0, end = all.size();
  while (left && begin < end && goes(all[begin])) ++begin;
  while (right && end > begin && goes(all[end - 1])) --end;
  std::string made;
  for (size_t i = begin; i < end; ++i) made += all[i];
  return made;
}

// Python's upper() for what is one letter each, and sharp s.
std::string upper_case(const std::string& text) {
  std::string made;
  for_each_code_point(text, [&](int32_t c, std::string_view) {
    if (c == 0xDF) {
      made += "SS";
    } else {
      append_code_point(made, to_upper(c));
    }
  });
  return made;
}

bool is_letter(int32_t c) { return char_class(c) == CharClass::letter; }

std::string capitalized(const std::string& text) {
  std::string made;
  for (const std::string& c : characters(text))
    made += made.empty() ? upper_case(c) : lower_case(c);
  return made;
}

// Python's str.title(), or the filter's: words there begin behind white space and - ( { [ <.
std::string titled(const std::string& text, bool filter) {
  std::string made;
  bool begins = true;
  for (const std::string& c : characters(text)) {
    const int32_t code = code_point_at(c, 0).value;
    made += begins ? upper_case(c) : lower_case(c);
    begins = filter ? is_space(code) || std::string_view("-({[<").find(c) != std::string_view::npos
                    : !is_letter(code);
  }
  return made;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& by,
                     int64_t most) {
  std::string made;
  size_t at = 0;
  const auto grow = [&](std::string_view piece) {
    made += piece;
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  };
  if (what.empty()) {
    for (const std::string& c : characters(text)) {
      if (most != 0) {
        grow(by);
        --most;
      }
      grow(c);
    }
    if (most != 0) grow(by);
    return made;
  }
  while (most != 0) {
    const size_t found = text.find(what, at);
    if (found == std::string::npos) break;
    grow(std::string_view(text).substr(at, found - at));
    grow(by);
    at = found + what.size();
    --most;
  }
  grow(std::string_view(text).substr(at));
  return made;
}

Value split(const std::string& text, const Value& separator, int64_t most, bool from_right) {
  std::vector<std::string> parts;
  if (separator.is_none()) {
    // Runs of white space; what is left when `most` is reached keeps its spaces.
    const std::vector<std::string> all = characters(text);
    const auto space = [&](size_t i) { return is_space(code_point_at(all[i], 0).value); };
    std::vector<std::pair<size_t, size_t>> words;
    for (size_t i = 0; i < all.size();) {
      if (space(i)) {
        ++i;
        continue;
      }
      const size_t begin = i;
      while (i < all.size() && !space(i)) ++i;
      words.emplace_back(begin, i);
    }
    if (most >= 0 && std::ssize(words) > most + 1) {
      const auto kept = static_cast<std::ptrdiff_t>(most);
      if (from_right) {
        const auto first = words.end() - kept;
        const std::pair<size_t, size_t> rest{0, (first - 1)->second};
        words.erase(words.begin(), first);
        words.insert(words.begin(), rest);
      } else {
        words[static_cast<size_t>(most)].second = all.size();
        words.resize(static_cast<size_t>(most) + 1);
      }
    }
    for (const auto& [begin, end] : words) {
      std::string word;
      for (size_t i = begin; i < end; ++i) word += all[i];
      parts.push_back(std::move(word));
    }
  } else {
    const std::string& mark = text_of(separator, "a separator");
    if (mark.empty()) fault("a separator is empty");
    if (from_right) {
      size_t end = text.size();
      while (most != 0 && end >= mark.size()) {
        const size_t found = text.rfind(mark, end - mark.size());
        if (found == std::string::npos) break;
        parts.push_back(text.substr(found + mark.size(), end - found - mark.size()));
        end = found;
        --most;
      }
      parts.push_back(text.substr(0, end));
      std::reverse(parts.begin(), parts.end());
    } else {
      size_t at = 0;
      while (most != 0) {
        const size_t found = text.find(mark, at);
        if (found == std::string::npos) break;
        parts.push_back(text.substr(at, found - at));
        at = found + mark.size();
        --most;
      }
      parts.push_back(text.substr(at));
    }
  }
  return Value::list(Values(parts.begin(), parts.end()));
}

Value split_lines(const std::string& text) {
  Values lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n' && text[i] != '\r') continue;
    lines.emplace_back(text.substr(begin, i - begin));
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    begin = i + 1;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return Value::list(std::move(lines));
}

std::string joined(const Values& items, const std::string& by) {
  std::string made;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) made += by;
    made += items[i].str();
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  }
  return made;
}

// A member by a dotted path, as filters' `attribute` has it.
Value member(const Value& value, const Value& path) {
  if (path.is_integer()) return item_of(value, path);
  Value found = value;
  const std::string& dotted = text_of(path, "an attribute");
  for (size_t at = 0; at <= dotted.size();) {
    const size_t dot = std::min(dotted.find('.', at), dotted.size());
    const std::string name = dotted.substr(at, dot - at);
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    Value key = name;
    if (number && name.size() < 10) key = static_cast<int64_t>(std::stoll(name));
    found = item_of(found, key);
    at = dot + 1;
  }
  return found;
}

int compare_ignoring_case(const Value& a, const Value& b, bool exact) {
  if (!exact && a.is_string() && b.is_string()) {
    return compare(lower_case(a.text()), lower_case(b.text()));
  }
  return compare(a, b);
}

Value sorted(const Value& value, const Arguments& arguments) {
  const bool reverse = argument_or(arguments, 0, "reverse", false).truth();
  const bool exact = argument_or(arguments, 1, "case_sensitive", false).truth();
  const Value path = argument_or(arguments, 2, "attribute", Value());
  Values items = iterate(value);
  const auto key = [&](const Value& item) { return path.is_none() ? item : member(item, path); };
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    const int order = compare_ignoring_case(key(a), key(b), exact);
    return reverse ? order > 0 : order < 0;
  });
  return Value::list(std::move(items));
}

Value dict_sorted(const Value& value, const Arguments& arguments) {
  if (!value.is_map()) fault("dictsort: a {} is no dict", value.kind());
  const bool exact = argument_or(arguments, 0, "case_sensitive", false).truth();
  const bool by_value = argument_or(arguments, 1, "by", "key") == Value("value");
  const bool reverse = argument_or(arguments, 2, "reverse", false).truth();
  Values items;
  for (const auto& [key, own] : value.entries()) items.push_back(Value::list({key, own}, true));
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    const size_t place = by_value ? 1 : 0;
    const int order = compare_ignoring_case(a.items()[place], b.items()[place], exact);
    return reverse ? order > 0 : order < 0;
  });
  return Value::list(std::move(items));
}

// select, reject, selectattr, rejectattr.
Value chosen(const Value& value, const Arguments& arguments, bool keep, bool by_member) {
  Arguments rest = arguments;
  Value path;
  if (by_member) {
    path = needed(rest, 0, "attribute");
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    test = text_of(rest.positional[0], "a test's name");
    rest.positional.erase(rest.positional.begin());
  }
  Values kept;
  for (const Value& item : iterate(value)) {
    const Value tested = by_member ? member(item, path) : item;
    const bool holds = test.empty() ? tested.truth() : apply_test(test, tested, rest);
    if (holds == keep) kept.push_back(item);
  }
  return Value::list(std::move(kept));
}

Value mapped(const Value& value, const Arguments& arguments) {
  Values made;
  if (const Value* path = argument(arguments, SIZE_MAX, "attribute")) {
    const Value otherwise = argument_or(arguments, SIZE_MAX, "default", Value());
    const bool has_default = argument(arguments, SIZE_MAX, "default") != nullptr;
    for (const Value& item : iterate(value)) {
      Value found = member(item, *path);
      made.push_back(found.is_undefined() && has_default ? otherwise : std::move(found));
    }
    return Value::list(std::move(made));
  }
  Arguments rest = arguments;
  const std::string filter = text_of(needed(rest, 0, "filter"), "a filter's name");
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : iterate(value)) made.push_back(apply_filter(filter, item, rest));
  return Value::list(std::move(made));
}

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
  if (std::abs(places) > 15) fault("round: a precision of {}", places);
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

Value unique(const Value& value, const Arguments& arguments) {
  const bool exact = argument_or(arguments, 0, "case_sensitive", false).truth();
  Values kept, keys;
  const Values items = iterate(value);
  if (items.size() > 1000) fault("unique: more than 1000 values");
  for (const Value& item : items) {
    const Value key = !exact && item.is_string() ? Value(lower_case(item.text())) : item;
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    keys.push_back(key);
    kept.push_back(item);
  }
  return Value::list(std::move(kept));
}

Value extreme(const Value& value, int wanted) {
  const Values items = iterate(value);
  if (items.empty()) return Value::undefined("an item of an empty list");
  const Value* best = &items[0];
  for (const Value& item : items) {
    if (compare_ignoring_case(item, *best, false) * wanted > 0) best = &item;
  }
  return *best;
}

Value sum(const Value& value, const Arguments& arguments) {
  const Value path = argument_or(arguments, 0, "attribute", Value());
  Value total = argument_or(arguments, 1, "start", 0);
  for (const Value& item : iterate(value)) {
    total = arithmetic("+", total, path.is_none() ? item : member(item, path));
  }
  return total;
}

Value reversed(const Value& value) {
  Values items = iterate(value);
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return Value::list(std::move(items));
  return joined(items, "");
}

Value pairs_of(const Value& value) {
  Values items;
  if (value.is_undefined()) return Value::list({});
  if (!value.is_map()) fault("a {} has no items", value.kind());
  for (const auto& [key, own] : value.entries()) items.push_back(Value::list({key, own}, true));
  return Value::list(std::move(items));
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

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> all = {
      {"boolean", [](const Value& v, const Arguments&) { return v.is_bool(); }},
      {"callable", [](const Value& v, const Arguments&) { return v.is_function(); }},
      {"defined", [](const Value& v, const Arguments&) { return !v.is_undefined(); }},
      {"divisibleby",
       [](const Value& v, const Arguments& a) {
         return arithmetic("%", v, needed(a, 0, "num")) == Value(0);
       }},
      {"eq", [](const Value& v, const Arguments& a) { return v == needed(a, 0, "other"); }},
      {"even", [](const Value& v, const Arguments&) { return v.integer("a number") % 2 == 0; }},
      {"false", [](const Value& v, const Arguments&) { return v.is_bool() && !v.truth(); }},
      {"float", [](const Value& v, const Arguments&) { return v.is_float(); }},
      {"ge",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) >= 0; }},
      {"gt",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) > 0; }},
      {"in", [](const Value& v, const Arguments& a) { return contains(needed(a, 0, "seq"), v); }},
      {"integer", [](const Value& v, const Arguments&) { return v.is_integer(); }},
      {"iterable",
       [](const Value& v, const Arguments&) {
         return v.is_string() || v.is_list() || v.is_map() || v.is_undefined();
       }},
      {"le",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) <= 0; }},
      {"lower",
       [](const Value& v, const Arguments&) {
         const std::string text = v.str();
         return lower_case(text) == text && upper_case(text) != text;
       }},
      {"lt",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) < 0; }},
      {"mapping", [](const Value& v, const Arguments&) { return v.is_map(); }},
      {"ne", [](const Value& v, const Arguments& a) { return !(v == needed(a, 0, "other")); }},
      {"none", [](const Value& v, const Arguments&) { return v.is_none(); }},
      {"number", [](const Value& v, const Arguments&) { return v.is_number(); }},
      {"odd", [](const Value& v, const Arguments&) { return v.integer("a number") % 2 != 0; }},
      {"sameas",
       [](const Value& v, const Arguments& a) {
         const Value& other = needed(a, 0, "other");
         return std::string_view(v.kind()) == other.kind() && v == other;
       }},
      {"sequence",
       [](const Value& v, const Arguments&) {
         return v.is_string() || v.is_list() || v.is_map() || v.is_undefined();
       }},
      {"string", [](const Value& v, const Arguments&) { return v.is_string(); }},
      {"true", [](const Value& v, const Arguments&) { return v.is_bool() && v.truth(); }},
      {"undefined", [](const Value& v, const Arguments&) { return v.is_undefined(); }},
      {"upper",
       [](const Value& v, const Arguments&) {
         const std::string text = v.str();
         return upper_case(text) == text && lower_case(text) != text;
       }},
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

std::string test_name(const std::string& name) {
  static const std::map<std::string, std::string> same = {
      {"==", "eq"}, {"equalto", "eq"}, {"!=", "ne"},       {">", "gt"}, {"greaterthan", "gt"},
      {">=", "ge"}, {"<", "lt"},       {"lessthan", "lt"}, {"<=", "le"}};
  const auto found = same.find(name);
  return found == same.end() ? name : found->second;
}

template <class Table>
[[noreturn]] void fail_unknown(const char* what, const std::string& name, const Table& known) {
  std::vector<std::string> names;
  for (const auto& [own, function] : known) names.push_back(own);
  fault("the {} '{}' is not supported{} (known: {})", what, name, did_you_mean(name, names),
        fmt::join(names, ", "));
}

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

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = filters().find(filter_name(name));
  if (found == filters().end()) fail_unknown("filter", name, filters());
  check_names(found->first, arguments);
  return found->second(value, arguments);
}

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = tests().find(test_name(name));
  if (found == tests().end()) fail_unknown("test", name, tests());
  return found->second(value, arguments);
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

Value slice_of(const Value& value, const Value& begin, const Value& end, const Value& step) {
  if (value.is_undefined()) fault("'{}' is undefined", value.undefined_name());
  if (!value.is_string() && !value.is_list()) fault("a {} has no slices", value.kind());
  const Values items = iterate(value);
  const int64_t size = std::ssize(items);
  const int64_t stride = step.is_none() ? 1 : step.integer("a slice's step");
  if (stride == 0) fault("a slice's step is 0");
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? size : size - 1;
  const auto bound = [&](const Value& given, int64_t otherwise) {
    if (given.is_none()) return otherwise;
    const int64_t at = given.integer("a slice's bound");
    return std::clamp(at < 0 ? at + size : at, low, high);
  };
  const int64_t from = bound(begin, stride > 0 ? low : high);
  const int64_t to = bound(end, stride > 0 ? high : low);
  Values kept;
  for (__int128 i = from; stride > 0 ? i < to : i > to; i += stride) {
    kept.push_back(items[static_cast<size_t>(i)]);
  }
  if (value.is_string()) return joined(kept, "");
  return Value::list(std::move(kept), value.is_tuple());
}

Value item_of(const Value& value, const Value& key) {
  if (value.is_undefined()) fault("'{}' is undefined", value.undefined_name());
  if (value.is_map()) {
    const Value* found = value.find(key);
    if (found != nullptr) return *found;
  } else if ((value.is_list() || value.is_string()) && (key.is_integer() || key.is_bool())) {
    const int64_t at = key.integer("an index");
    const int64_t size = length_of(value);
    const int64_t place = at < 0 ? at + size : at;
    if (place < 0 || place >= size) return Value::undefined(fmt::format("item {}", at));
    if (value.is_list()) return value.items()[static_cast<size_t>(place)];
    return characters(value.text())[static_cast<size_t>(place)];
  } else if (value.is_namespace() && key.is_string()) {
    for (const auto& [name, own] : value.as_namespace().entries) {
      if (name == key.text()) return own;
    }
  }
  if (key.is_string()) return method_of(value, key.text());
  return Value::undefined(key.str());
}

Value attribute_of(const Value& value, const std::string& name) {
  if (value.is_undefined()) {
    fault("'{}' is undefined, and has no '{}'", value.undefined_name(), name);
  }
  if (name.starts_with("__")) return Value::undefined(name);  // out of bounds, in Jinja's sandbox
  const Value method = method_of(value, name);
  return method.is_undefined() ? item_of(value, name) : method;
}

}  // namespace heed::data::chat
