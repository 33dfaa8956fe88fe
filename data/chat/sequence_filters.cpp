#include "data/chat/sequence_filters.h"

#include <algorithm>

#include "data/chat/arguments.h"
#include "data/chat/builtins.h"
#include "data/chat/text.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

int compare_ignoring_case(const Value& a, const Value& b, bool exact) {
  if (!exact && a.is_string() && b.is_string()) {
    return compare(lower_case(a.text()), lower_case(b.text()));
  }
  return compare(a, b);
}

}  // namespace

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
  int64_t weight = 0;  // before a list is made of what may be larger than any list
  const auto add = [&](Value item) {
    weight += item.weight();
    if (weight > kMostValues) fault("map: the list holds too much");
    made.push_back(std::move(item));
  };
  if (const Value* path = argument(arguments, SIZE_MAX, "attribute")) {
    const Value otherwise = argument_or(arguments, SIZE_MAX, "default", Value());
    const bool has_default = argument(arguments, SIZE_MAX, "default") != nullptr;
    for (const Value& item : iterate(value)) {
      Value found = member(item, *path);
      add(found.is_undefined() && has_default ? otherwise : std::move(found));
    }
    return Value::list(std::move(made));
  }
  Arguments rest = arguments;
  const std::string filter = text_of(needed(rest, 0, "filter"), "a filter's name");
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : iterate(value)) add(apply_filter(filter, item, rest));
  return Value::list(std::move(made));
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
  if (total.is_string()) fault("sum: not of strings (use join)");  // as Python
  const Values items = iterate(value);
  constexpr int64_t kMostLists = 1000;  // each sum copies what it has
  if (total.is_list() && std::ssize(items) > kMostLists)
    fault("sum: more than {} lists", kMostLists);
  for (const Value& item : items) {
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

}  // namespace heed::data::chat
